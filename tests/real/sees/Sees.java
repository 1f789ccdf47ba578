public class Sees {
    public static void main(String[] arguments) {
        var runtime = Runtime.getRuntime();
        System.out.println("java cpus " + runtime.availableProcessors() + " heap " + runtime.maxMemory() / 1048576);
    }
}
