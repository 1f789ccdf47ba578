package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// What a program of Go takes its limits from: the processors by the scheduler, the memory by the files that its libraries read.
func main() {
	fmt.Println("go cpus", runtime.NumCPU(), "procs", runtime.GOMAXPROCS(0))
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Println("go limit", strings.TrimSpace(string(text)))
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Println("go quota", strings.TrimSpace(string(text)))
		}
	}
}
