package redrive

// ChunkLines and ErrLostAnswer are exported for tests.
const ChunkLines = chunkLines

var ErrLostAnswer = errLostAnswer
