'use strict'

// The command line of kinesalite has no option for the delays in milliseconds and the shard limit at once.
require('kinesalite')({
  createStreamMs: 50,
  deleteStreamMs: 50,
  updateStreamMs: 50,
  shardLimit: 500,
}).listen(Number(process.env.PORT))
