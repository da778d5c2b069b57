#!/bin/sh
# Prints what jq 1.6, the version of Firehose's dynamic partitioning, makes of a table of queries and payloads: query,
# payload, result, separated by tabs. A query that does not compile or that fails has the result "!failed". Run by hand:
#
#   ./golden.sh > golden.tsv
set -u
[ "$(jq --version)" = jq-1.6 ] || { echo "want jq 1.6" >&2; exit 1; }
tab="$(printf '\t')"
while IFS="$tab" read -r query payload; do
	result="$(printf '%s' "$payload" | jq -cS "$query" 2>/dev/null)" || result='!failed'
	printf '%s\t%s\t%s\n' "$query" "$payload" "$(printf '%s' "$result" | tr '\n' ' ')"
done <<'CASES'
{c:.customer_id}	{"customer_id":"1234567890"}
{c:.customer_id,d:.type.device}	{"customer_id":1,"type":{"device":"mobile"}}
{customer_id}	{"customer_id":"x"}
{"customer id":."customer id"}	{"customer id":"x"}
{c:.["customer id"]}	{"customer id":"x"}
{c:.a.b.c}	{"a":null}
{c:.a.b.c}	{"a":{"b":7}}
{c:(.a|.b)}	{"a":{"b":7}}
{c:(.a // "none")}	{"b":1}
{c:(.a // "none")}	{"a":false}
{c:(.a.b // "none")}	{"a":"text"}
{c:.a,c:.b}	{"a":1,"b":2}
{c:.a}	{"a":1,"a":2}
{c:.a.x}	{"a":{"x":1},"a":{"y":2}}
{c:.a}	{"a":true}
{c:.a}	{"a":"\u00e9\ud83d\ude00/\n"}
{c:.a}	{"\u0061":5}
{c:.a}	[1]
{c:.a}	"text"
{c:.a}	null
{y:.event_timestamp|strftime("%Y")}	{"event_timestamp":1565382027}
{y:(.TIMESTAMP|tonumber|strftime("%Y-%m-%d"))}	{"TIMESTAMP":"1407974400"}
{h:(.ms/1000|strftime("%Y-%m-%d-%H"))}	{"ms":1407974400123}
{h:(.ms/1000|floor|strftime("%H:%M:%S"))}	{"ms":1407974400123}
{d:.at[0:10],h:.at[11:13]}	{"at":"2014-08-14T00:00:00.123+01:00"}
{d:(.at|fromdateiso8601|strftime("%j"))}	{"at":"2014-08-14T00:00:00Z"}
{d:(.at|strptime("%d/%b/%Y:%H:%M:%S")|mktime|strftime("%Y/%m"))}	{"at":"14/Aug/2014:01:02:03"}
{d:(.at|split("T")[0])}	{"at":"2014-08-14T00:00:00Z"}
{d:(.at|sub("T.*";""))}	{"at":"2014-08-14T00:00:00Z"}
{c:(.a|ascii_downcase|ltrimstr("x-"))}	{"a":"X-Abc"}
{c:(if .n > 10 then "large" else "small" end)}	{"n":11}
{c:(.tags[]|select(.k=="env")|.v)}	{"tags":[{"k":"env","v":"prod"},{"k":"x","v":"y"}]}
{c:(.tags|map(select(.k=="env"))[0].v)}	{"tags":[{"k":"env","v":"prod"}]}
{c:.tags[]}	{"tags":[1,2]}
{c:"\(.a)-\(.b)"}	{"a":1,"b":"x"}
{c:(.a|tostring)}	{"a":{"b":1}}
{c:(.a|@base64)}	{"a":"text"}
{c:(.a+1)}	{"a":41}
{c:(.a*2.5)}	{"a":3}
{c:(.a/3)}	{"a":1}
{c:(.a%7)}	{"a":23}
{c:(.a|length)}	{"a":"\u20ac"}
{c:(.a|test("^x"))}	{"a":"xyz"}
{c:(.a|capture("(?<n>[0-9]+)").n)}	{"a":"ab12"}
{c:(.a|tojson)}	{"a":[1,"x",null]}
{c:(.a|error)}	{"a":"x"}
{c:(.a|tonumber)}	{"a":"x"}
{c:(try (.a|tonumber) catch "none")}	{"a":"x"}
{c:.a}	{"a":1.0}
{c:.a}	{"a":1e3}
{c:.a}	{"a":12345678901234567890}
{c:(.a+1)}	{"a":9007199254740993}
{c:.a[1]}	{"a":"abc"}
{c:(.a|test("^(?!x)"))}	{"a":"abc"}
{c:(.a|keys_unsorted[0])}	{"a":{"b":1}}
{c:(1e17,1e18,1e-7,0.1+0.2)}	{}
CASES
