const os = require('os');
const limit = require('v8').getHeapStatistics().heap_size_limit >> 20;
console.log('node cpus', os.availableParallelism(), 'heap', limit, 'limit', process.constrainedMemory ? process.constrainedMemory() : 'unknown');
