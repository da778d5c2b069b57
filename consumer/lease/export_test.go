package lease

// Why a hold ended, for the tests of what others see.
var (
	ErrLost     = errLost
	ErrRestart  = errRestart
	ErrShardEnd = errShardEnd
	ErrReleased = errReleased
	ErrShutdown = errShutdown
)
