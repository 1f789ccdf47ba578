import os
print('python cpus', len(os.sched_getaffinity(0)), 'pages', os.sysconf('SC_PHYS_PAGES'))
for line in open('/proc/self/mountinfo'):
    if ' - cgroup' in line and '/sys/fs/cgroup' in line.split()[4]: print('python mount', line.split()[4])
for path in ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'):
    if os.path.exists(path): print('python limit', int(open(path).read()) >> 20)
