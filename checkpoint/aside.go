package checkpoint

import "context"

type aside struct{}

// Aside returns a context for calls of a Store on which no work depends, such as those for a person who looks. How they go says nothing
// about a store's health.
func Aside(ctx context.Context) context.Context { return context.WithValue(ctx, aside{}, true) }

// IsAside reports whether the context comes from Aside.
func IsAside(ctx context.Context) bool { return ctx.Value(aside{}) != nil }
