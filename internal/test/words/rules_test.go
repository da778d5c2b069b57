package words

import (
	"bytes"
	"regexp"
)

// rule is a turn of phrase that readers stumble over. Its expressions are matched against paragraphs in lower case, in which
// one space stands for any white space.
type rule struct {
	key  string   // letters that every match has; quick to look for
	bad  string   // regular expression of the words
	but  string   // regular expression of matches that are right after all; empty: none
	want string   // what to write instead
	no   []string // texts that break the rule, at least one
	yes  []string // similar texts that do not
}

// Words that begin with a rate's unit: "5 reads a second" has one, "a second time" has none.
const afterUnit = `(?:[.,;:!?)|]|$| (?:and|or|of|to|in|at|from|with|for|by|on|each|are|is|as|than|when|while|if|because|which|that)\b)`

var rules = []rule{
	{
		key: "can not",
		bad: `\bcan not(?: only)?\b`, but: `^can not only\b`, want: "cannot",
		no: []string{"a shard can not be read", "it can\nnot be read"}, yes: []string{"it cannot be read", "can notice", "it can not only read but write"},
	}, {
		key: "behind one another",
		bad: `\bbehind one another\b`, want: "concatenated, one after another",
		no: []string{"values behind one another"}, yes: []string{"one after another"},
	}, {
		key:  "behind",
		bad:  `\b(?:begin|begins|beginning|start|starts|go|goes|going|come|comes|coming|put|puts|lie|lies|stand|stands|append|appends|follow|follows|stop|stops|position|positions|write|writes|end|ends|resume|resumes|continue|continues) (?:\w+ ){0,3}behind(?: an? \w+)?\b`,
		but:  `\b(?:is|are|was|far|fall|falls|stays?|more|seconds|minutes|hours) behind\b|behind an? (?:proxy|load|flag|gateway|firewall|mutex|lock|nat|interface)$`,
		want: `"after" for order`,
		no:   []string{"the next one begins behind the last event", "put a line feed behind each payload"},
		yes:  []string{"the reader is five minutes behind", "a shard that is behind", "put it behind a proxy", "the next one begins after it"},
	}, {
		key:  " no ",
		bad:  `\b\w+ (?:is|are|was|were) no [a-z]+\b`,
		but:  `^(?:(?:t?here|is) |(?:\w+ ){2}no (?:longer|more|different|better|worse|larger|smaller|later|earlier|older|newer|shorter|higher|lower|faster|slower|greater|fewer|less|further|other|use|good|help|one|trouble|reason|proof|secret|concern|news|wonder|surprise|match|excuse|guarantee|substitute|problem|doubt)\b)`,
		want: `"is not a"`,
		no:   []string{"a record that is no JSON", "a skipped error is no silence", "%q is no size"},
		yes:  []string{"there is no table", "There are no shards", "it is no longer read", "it is not JSON", "the bound is no larger", "where there is no key"},
	}, {
		key:  " a ",
		bad:  `\b(?:(?:[0-9][0-9,.]*|two|three|four|five|ten|hundred|thousand|million|many|more|most|few|how many) (?:\w+ )?(?:reads|writes|calls|records|requests|samples|attempts|changes|moves|answers|commits|steps|checks|files|objects)|events|messages|bytes|units|mb|kb|gb|mib|kib) a (?:second|minute|hour|day|week|month|year)` + afterUnit,
		want: `"per second"`,
		no:   []string{"5 reads a second.", "two million bytes a second and shard", "1 MB a second"},
		yes:  []string{"5 reads per second", "it reads a second batch", "it writes a year.", "sends the records a second time", "once a second", "three times a day"},
	}, {
		key:  " a",
		bad:  `\b(?:goroutine|goroutines|object|file|item|items|heartbeat|row|rows|loop|connection|lane|request|requests|mb|kb|kib|mib|bytes|usd|cents|ns|µs|ms|unit|units|write|copy|invocation|at most|most) an? (?:shard|worker|partition|batch|month|gb|tb|query|lease|part|byte|core|record|element|month|event|process|key|column|tick|move)\b`,
		but:  `\b(?:object|file|item|row|request|batch|copy|write|most) an? \w+$`,
		want: `"per shard", "per batch"`,
		no:   []string{"one goroutine a shard", "rows a batch", "25 ns a byte", "5 USD a TB"},
		yes:  []string{"one goroutine per shard", "an object a reader opens", "in the file a record"},
	}, {
		key:  " a",
		bad:  `\b(?:one|two|three|four|five|ten|[0-9]+) (?:open |more )?(?:goroutine|object|file|item|heartbeat|row|loop|lane|request|head|upload|batch|lease|worker|reader|call|entry|line)s? an? (?:shard|worker|partition|batch|file|lease|part|record|node|stream|event|month|process|table)\b`,
		want: `"per shard"`,
		no:   []string{"one open file a partition", "one HEAD a file", "one worker a shard at most"},
		yes:  []string{"one open file per partition", "one file that a partition has"},
	}, {
		key:  " as ",
		bad:  `(?:,|\b(?:[a-z]+ )?(?:sizes?|times?|durations?|names?|extensions?|keys?|values?|one|ones|paths?|patterns?|numbers?|texts?|images?|address|form)) as (?:[\x60"'\[]{0,2}(?:[0-9]|\{|https?:|s3:|ghcr\.|\.[a-z])|europe/)`,
		but:  `^same `,
		want: `"such as"`,
		no:   []string{"a time as 2026-01-31T00:00:00Z", "want one as 90s", "time zone, as Europe/Lisbon", "Secrets, as [{name: registry}]", "an extension as .json.gz"},
		yes:  []string{"a time such as 2026-01-31", "the same value as 1.0", "counts as 0", "as it was"},
	}, {
		key:  "tells ",
		bad:  `\btells (?:that|whether|how|what|which|when|who|why|where|if|of|the rest)\b`,
		want: "says, shows, reports or describes",
		no:   []string{"Closed tells that the shard takes no more", "docs/prefixes.md tells the rest", "it tells whether it is open"},
		yes:  []string{"tell the maintainers", "nobody can tell which of them is there", "Closed reports whether the shard is closed", "it tells two objects apart", "tells a missing object from a forbidden one"},
	}, {
		key:  " tell",
		bad:  `\b(?:page|pages|doc|docs|readme|document|runbook|metric|panel|column|dashboard|log|query|queries|body|\.md\x60?|\.md\)) tells?\b`,
		want: "describes or shows",
		no:   []string{"the runbook tells the steps", "The log tells more"},
		yes:  []string{"the runbook has the steps"},
	}, {
		key:  "lie",
		bad:  `\blies? (?:(?:under|beside|behind|there|around)\b|(?:in|at) (?:(?:the|its|a) )?(?:bucket|error prefix|folder|s3|outbox|_extra|memory|pools?|spool|file|store|table)\b)`,
		want: `"is stored under", "is under"`,
		no:   []string{"it lies under the error prefix", "a record lies beside it", "files that lie there", "a record lies in the error prefix"},
		yes:  []string{"it is stored under the error prefix", "underlying", "the reason lies in the protocol"},
	}, {
		key:  " back",
		bad:  `\b(?:give|gives|gave|given|giving)(?: \w+){0,3} back\b`,
		want: "returns, releases or restores",
		no:   []string{"gives the leases back", "memory that is given back", "a double gives it back"},
		yes:  []string{"releases its leases", "give it a backup", "back off"},
	}, {
		key:  "price of",
		bad:  `\bprice of (?:its|their) own\b`,
		want: "billed separately",
		no:   []string{"at a price of its own"}, yes: []string{"a folder of its own"},
	}, {
		key:  "believe",
		bad:  `\bbelieves? (?:itself )?to be\b|\bbelieves? it to be\b`,
		want: "believes it is",
		no:   []string{"who believes to be the owner"}, yes: []string{"who believes it owns the lease", "is believed to be"},
	}, {
		key:  " none of",
		bad:  `\b(?:is|are|was|were) none of(?: \w+)?`,
		but:  `none of (?:these|those|them|it|us|ours|the|this)$`,
		want: `NAME="value": want a, b or c; or "is not one of"`,
		no:   []string{`split "x" is none of none, json, lines`}, yes: []string{"if it is none of these", "is not one of them"},
	}, {
		key:  "hold",
		bad:  `\bhold(?:s|ing)? to (?:it|them|that|its|the schema|a schema|the rules?)\b`,
		want: "satisfies, follows or complies with",
		no:   []string{"records that do not hold to it", "records hold to the schema"}, yes: []string{"records that violate it", "hold it", "holds the template to the rules"},
	}, {
		key:  "apart",
		bad:  `\btak(?:e|es|en|ing) (?:[\w-]+ ){0,4}apart\b|\btook (?:[\w-]+ ){0,4}apart\b`,
		want: "splits or decodes",
		no:   []string{"takes payloads of several records apart", "is taken apart"}, yes: []string{"splits payloads", "apart from that"},
	}, {
		key:  "doubl",
		bad:  `\b(?:lost|lose|loses|missing|skipped) (?:and|or|nor) (?:doubled?|doubles)\b|\bdoubled? or (?:lost|missing)\b`,
		want: "duplicated, delivered twice",
		no:   []string{"nothing is lost or double", "lose or double a record"}, yes: []string{"lost or duplicated"},
	}, {
		key: "twice",
		bad: `\bcomes? twice\b`, want: "is delivered twice",
		no: []string{"their records come twice"}, yes: []string{"delivered twice"},
	}, {
		key: "be its",
		bad: `\b(?:must|has to) be its(?:[.,;:)]|$)`, want: "must match it",
		no: []string{"the name must be its."}, yes: []string{"it must be its owner"},
	}, {
		key: "be had",
		bad: `\b(?:can|could) be had\b`, want: "so you can reproduce it",
		no: []string{"so that yours can be had"}, yes: []string{"can be hard"},
	}, {
		key: "without a word",
		bad: `\bwithout a word\b`, but: `^without a word of\b`, want: "silently",
		no: []string{"it is left out without a word"}, yes: []string{"silently"},
	}, {
		key: " away",
		bad: `\b(?:is|are|was|were|be|been) taken away\b|\btak(?:e|es|ing) (?:it|them|the \w+) away\b`, want: "removed, revoked, deregistered",
		no: []string{"costs until it is taken away", "take the permission away"}, yes: []string{"takes it"},
	}, {
		key: "ask",
		bad: `\basks? (?:nothing|anything) of\b`, want: "does not call",
		no: []string{"It asks nothing of AWS"}, yes: []string{"It does not call AWS"},
	}, {
		key: "thirty-second of",
		bad: `\bthirty-second of\b`, want: "33/32 of",
		no: []string{"the budget, a thirty-second of it and 32 MiB"}, yes: []string{"thirty seconds of silence"},
	}, {
		key: "so many",
		bad: `\b(?:\w+ )?of so many\b|\b(?:write|writes|until|for) so many (?:bytes|records|lines|seconds)\b`, but: `^because `, want: "the given number of",
		no:  []string{"a block of so many bytes", "calls next until so many records have come"},
		yes: []string{"so many shards that", "because of so many shards", "it refused so many records"},
	}, {
		key:  " a",
		bad:  `\ban? (?:file|byte|line|row|request|call|lease|heartbeat|item|goroutine) an? (?:shard|worker|partition|batch|second|minute)` + afterUnit,
		want: "one per shard, one per second",
		no:   []string{"goccy, a file a shard", "a byte a second of a header"},
		yes:  []string{"a file per shard", "in a line a shard id follows", "a call a second time"},
	}, {
		key:  " told ",
		bad:  `\b(?:is|are|was|were) told (?:of|by)\b`,
		want: "is called for, learns of, is described in, is decided by",
		no:   []string{"Panicked, if set, is told of each panic", "What the defaults mean is told by the planner"},
		yes:  []string{"one is told to stop", "they are told apart by their names", "it is called for each panic"},
	}, {
		key:  "'s",
		bad:  `\b\w+ is (?:the library|(?:io|http|heap|sort|driver|fs|flag|fmt|json)\.[a-z]+)'s(?:[.:;,]|$)`,
		want: `"implements io.Reader"`,
		no:   []string{"Read is io.Reader's.", "Initialize is the library's."},
		yes:  []string{"Read implements io.Reader.", "settings is the library's configuration."},
	}, {
		key:  " for a",
		bad:  `\b(?:take|takes|took|taken|taking) (?:it|them|this|that|(?:an?|the) \w+) for an? \w+`,
		but:  ` (?:lock|lease|slot|look|turn|place|connection|lane|share) for | for an? (?:while|moment|second|minute|time|long|new|given|walk|test)$`,
		want: "mistakes it for, counts it as, treats it as",
		no:   []string{"Lambda takes the answer for a success", "Other fields take a null for an absent member"},
		yes:  []string{"it takes a lock for a write", "it takes the shard for a while", "S3 may take minutes for a large file"},
	}, {
		key:  " behind ",
		bad:  `\b(?:records?|bytes?|words?|texts?|members?|lines?|values?|fields?|text) behind (?:it|them|the|an?)\b`,
		want: `"after" for order`,
		no:   []string{"records behind it are delivered again", "the text behind the last line"},
		yes:  []string{"records after it", "records that are behind the tip", "the daemon is 300 records behind"},
	}, {
		key: "at hand", bad: `\bwith (?:[\w']+,? ){1,8}at hand\b`, want: `"with", without "at hand"`,
		no:  []string{"runs a script with DuckDB and PyArrow at hand"},
		yes: []string{"runs a script with DuckDB", "the case at hand"},
	}, {
		key: "body of", bad: `\b(?:no|any)body of (?:this|our|the|us)\b`, want: "third-party, independent, none of us",
		no: []string{"readers that nobody of this project wrote"}, yes: []string{"the body of the request", "nobody offers this"},
	}, {
		key: "reckon", bad: `\breckon(?:s|ed|ing)?\b`, want: "calculates",
		no: []string{"cost reckons what it costs", "Reckon with your numbers"}, yes: []string{"it calculates what it costs"},
	}, {
		key: "any more", bad: `\b(?:is|are) (?:\w+ )?not \w+ any more\b`, want: "no longer",
		no: []string{"the stream is not fed any more"}, yes: []string{"the stream is no longer fed", "it does not take any more records"},
	}, {
		key: "what bec", bad: `\bwhat becomes of\b|\bwhat (?:has )?become of\b|\bwhat became of\b`, want: "what happens to, the result of",
		no: []string{"What becomes of a record", "verdict is what became of a mutant"}, yes: []string{"what happens to a record"},
	}, {
		key: "stream",
		bad: `\bgets? (?:a|the) (?:kinesis )?stream(?: \w+)? into\b`, want: "delivers a stream to",
		no: []string{"Gets a Kinesis stream into S3"}, yes: []string{"gets a stream"},
	}, {
		key: "stand",
		bad: `\bstands? (?:there|behind|beside|before (?:an?|the)|after (?:an?|the))\b|\bwhat stands\b`, want: "is stored there, precedes, follows, is",
		no:  []string{"payloads stand there byte for byte", "what stands in the table", "the key stands before the value"},
		yes: []string{"it stands still", "it stands for the key", "it stood the test"},
	}, {
		key: "with",
		bad: `\bwithin what \w+ says\b|\bwith nothing between\b`, want: "within the bound given under, without a separator",
		no: []string{"stays within what Memory says", "with nothing between them"}, yes: []string{"within the bound"},
	}, {
		key: "bytes alone",
		bad: `\bfor the bytes alone\b`, want: "only for throughput",
		no: []string{"take more for the bytes alone"}, yes: []string{"add workers only for throughput"},
	}, {
		key: "to compare",
		bad: `\bbeside it to compare\b`, want: "for comparison",
		no: []string{"two consumers beside it to compare"}, yes: []string{"two consumers for comparison"},
	}, {
		key: "where",
		bad: `\bwhat breaks where\b|\bwhere a rule is left out\b`, want: "what breaks without each rule",
		no: []string{"what breaks where a rule is left out"}, yes: []string{"what breaks without a rule"},
	},
}

// matcher finds the places that break a rule.
type matcher struct {
	rule
	bad, but *regexp.Regexp
}

var matchers = compile(rules)

func compile(rules []rule) (all []matcher) {
	for _, r := range rules {
		m := matcher{rule: r, bad: regexp.MustCompile(r.bad)}
		if r.but != "" {
			m.but = regexp.MustCompile(r.but)
		}
		all = append(all, m)
	}
	return all
}

// find returns the first and last place of each match in a paragraph.
func (m matcher) find(p paragraph) (at [][]int) {
	if !bytes.Contains(p.lower, []byte(m.key)) {
		return nil
	}
	for _, span := range m.bad.FindAllIndex(p.lower, -1) {
		if m.but == nil || !m.but.Match(p.lower[span[0]:span[1]]) {
			at = append(at, span)
		}
	}
	return at
}
