//go:build !profile

package main

func profiled(run func() error) error { return run() }
