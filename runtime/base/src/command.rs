//! Command lines of `rcr` that hints name, in backticks: the one place of the libraries that knows how they are
//! spelled.

fn line(words: &str) -> String {
    format!("`rcr {words}`")
}

/// Starts a container.
pub fn start(container: &str) -> String {
    line(&format!("start {container}"))
}

/// Stops a container.
pub fn stop(container: &str) -> String {
    line(&format!("stop {container}"))
}

/// Lets a paused container go on.
pub fn unpause(container: &str) -> String {
    line(&format!("unpause {container}"))
}

/// Runs a command in a container.
pub fn exec(container: &str, words: &str) -> String {
    line(&format!("exec {container} {words}"))
}

/// Connects to a running container.
pub fn attach(container: &str) -> String {
    line(&format!("attach {container}"))
}

/// Removes containers, of which there may be several with spaces between them.
pub fn rm(containers: &str) -> String {
    line(&format!("rm {containers}"))
}

/// Kills a container and removes it.
pub fn rm_force(container: &str) -> String {
    line(&format!("rm -f {container}"))
}

/// Runs a shell from an image that names no command.
pub fn run_shell(image: &str) -> String {
    line(&format!("run {image} sh"))
}

/// Runs a container on a network.
pub fn run_on(network: &str) -> String {
    line(&format!("run --network {network} IMAGE"))
}

/// Lists all containers.
pub fn list_containers() -> String {
    line("ps -a")
}

/// Lists all images.
pub fn list_images() -> String {
    line("images")
}

/// Lists all networks.
pub fn list_networks() -> String {
    line("network ls")
}

/// Lists all volumes.
pub fn list_volumes() -> String {
    line("volume ls")
}

/// Puts a container on a network.
pub fn network_connect(network: &str, container: &str) -> String {
    line(&format!("network connect {network} {container}"))
}

/// Takes a container off a network.
pub fn network_disconnect(network: &str, container: &str) -> String {
    line(&format!("network disconnect {network} {container}"))
}

/// Changes a network; `words` are the flags.
pub fn network_update(network: &str, words: &str) -> String {
    line(&format!("network update {words} {network}"))
}

/// Lists the cluster's hosts, with their keys.
pub fn list_nodes() -> String {
    line("node ls")
}

/// Gives this host a new key.
pub fn rekey() -> String {
    line("node rekey")
}

/// Compares what was made of our networks with what is there.
pub fn network_check() -> String {
    line("network check")
}

/// Makes again what is missing of our networks.
pub fn network_repair() -> String {
    line("network check --repair")
}

/// Runs a program of the host in a container's network namespace.
pub fn in_network_of(container: &str, words: &str) -> String {
    format!("`nsenter -n -t $(rcr inspect -f '{{{{.State.Pid}}}}' {container}) {words}`")
}

/// Serves the page that may change something.
pub fn web_with_changes() -> String {
    line("web --allow-changes")
}

/// Shows the host.
pub fn info() -> String {
    line("info")
}

/// Pulls an image.
pub fn pull() -> String {
    line("pull")
}

/// Loads an image from `from`, the flags that name an archive.
pub fn load(from: &str) -> String {
    line(format!("load {from}").trim_end())
}

/// Makes an image from a root file system; `operands` name the file and the image.
pub fn import(operands: &str) -> String {
    line(format!("image import {operands}").trim_end())
}

/// Removes all images that no container uses.
pub fn prune_images() -> String {
    line("image prune -a")
}

/// Saves credentials for a registry, whose name may be left out.
pub fn login(registry: &str) -> String {
    line(format!("login {registry}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_quoted_and_end_with_their_last_word() {
        assert_eq!((start("web"), load("")), ("`rcr start web`".to_owned(), "`rcr load`".to_owned()));
        assert_eq!(network_disconnect("blue", "web"), "`rcr network disconnect blue web`");
    }
}
