package lease

// Reasons why a hold ended, for tests of what others see.
var (
	ErrLost     = errLost
	ErrRestart  = errRestart
	ErrShardEnd = errShardEnd
	ErrReleased = errReleased
	ErrShutdown = errShutdown
)
