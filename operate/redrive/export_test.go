package redrive

// ChunkLines and ErrLostAnswer are for tests from outside.
const ChunkLines = chunkLines

var ErrLostAnswer = errLostAnswer
