// Package gameday tries the runbooks. For each alert it plants a fault in real parts, waits until Prometheus fires the alert, runs the
// commands of its page in docs/runbooks word for word, and waits until the alert has ended:
//
//	make gameday                          # all alerts, some 20 minutes
//	make gameday GAMEDAY='-run TestGameDay/ConsumerAbsent'
//
// Real are the daemon, the loader, the producers' records, Prometheus with the chart's rules, DynamoDB Local, PostgreSQL, and the policies
// that "consumer policy" prints, which a guard in front of each service enforces. The stream and the bucket are the repository's own.
// The commands consumer, loader, aws, psql, jq and curl of a page are run for real. kubectl and helm are a stand-in that starts, stops and
// reconfigures processes of this machine as a cluster would.
//
// Prometheus's rules have shorter times here: all durations, and the thresholds that are seconds, are divided by one factor (rules_test.go),
// while the daemon's own times are the real ones, except for COMMIT_INTERVAL, FAILOVER_TIME and LOAD_INTERVAL. So the table that the test
// prints says how long each step took, and how long it takes with the chart's rules.
package gameday
