# Functions for infra/deploy and infra/destroy. The caller sets stage, project, region, and expected, the account that it wants or nothing.
# shellcheck shell=bash

fail() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# misused ends with the exit code of a wrong command line, the same as that of the programs: nothing was started.
misused() {
	echo "$(basename "$0"): $*" >&2
	exit 2
}

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || fail "bash $BASH_VERSION is too old: want 4.4 or later (macOS: brew install bash)"
shopt -s inherit_errexit # a failure within $(...) ends the script, too

say() { printf "%s\n" "$*"; }

# confirm asks on the terminal. Without a terminal the answer is no.
confirm() {
	local answer
	if [[ ! -t 0 ]]; then
		echo "$1 there is no terminal to ask on" >&2
		return 1
	fi
	read -r -p "$1 [y/N] " answer
	[[ $answer == y || $answer == Y || $answer == yes ]]
}

# check_names checks that the templates accept the names, before anything is done.
check_names() {
	[[ -n $stage ]] || misused "--stage is required"
	[[ $stage =~ ^[a-z][a-z0-9]{1,7}$ ]] || misused "--stage $stage: want 2 to 8 lower-case letters and digits, starting with a letter"
	[[ $project =~ ^[a-z][a-z0-9-]{1,16}[a-z0-9]$ ]] || misused "--project $project: want 3 to 18 lower-case letters, digits and hyphens"
	[[ -z $region || $region =~ ^[a-z]{2,3}(-[a-z]+)+-[0-9]$ ]] || misused "--region $region: want a region such as eu-west-1"
	[[ -z $expected || $expected =~ ^[0-9]{12}$ ]] || misused "--account $expected: want the 12 digits of an account"
}

# connect finds out and prints the account of the AWS CLI's credentials, and creates the temporary folder work.
connect() {
	command -v aws >/dev/null || fail "the AWS CLI is missing: see https://docs.aws.amazon.com/cli/"
	if [[ -n $region ]]; then export AWS_REGION=$region AWS_DEFAULT_REGION=$region; fi
	export AWS_PAGER=''
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	local arn refused
	if ! arn=$(aws sts get-caller-identity --query Arn --output text 2>"$work/refused"); then
		refused=$(<"$work/refused")
		case $refused in
		*"Could not connect to the endpoint"*) fail "AWS is out of reach in region ${region:-of the profile}: is there a region of that name, and a network? $refused" ;;
		*) fail "AWS does not accept the credentials, or there are none: $refused" ;;
		esac
	fi
	# shellcheck disable=SC2034 # infra/deploy needs the partition
	partition=$(cut -d: -f2 <<<"$arn") account=$(cut -d: -f5 <<<"$arn")
	region=${region:-$(aws configure get region || true)}
	[[ -n $region ]] || misused "--region is required: neither AWS_REGION nor the profile has one"
	[[ -z $expected || $expected == "$account" ]] || fail "--account $expected: the credentials are those of account $account ($arn)"
	say "account $account, region $region, stage $stage of $project"
}

cfn() { aws cloudformation "$@"; }

stack_name() { echo "$project-$stage-$1"; }

# look describes a stack and keeps the answer for stack_field, stack_status and output: a line for its status, its id,
# whether it is protected, its ShardCount, and each of its parameters and outputs, or nothing if there is no such stack.
declare -A seen=()
look() {
	local name
	name=$(stack_name "$1")
	if seen[$1]=$(cfn describe-stacks --stack-name "$name" --output text --query "Stacks[0].[[['status', StackStatus], ['id', StackId], ['protected', EnableTerminationProtection]], \
		Parameters[?ParameterKey=='ShardCount'].['shards', ParameterValue], Parameters[].['parameter', ParameterKey], Outputs[].['output', OutputKey, OutputValue]][]" 2>"$work/refused"); then
		return
	fi
	grep -q 'does not exist' "$work/refused" || fail "describe stack $name: $(<"$work/refused")"
	seen[$1]=''
}

# stack_field prints what follows a word in the lines that look has kept.
stack_field() { awk -F '\t' -v OFS='\t' -v word="$2" '$1 == word {$1 = ""; print substr($0, 2)}' <<<"${seen[$1]}"; }

# stack_status prints nothing if there is no such stack.
stack_status() { stack_field "$1" status; }

# output prints an output of a stack, or nothing.
output() { stack_field "$1" output | awk -F '\t' -v name="$2" '$1 == name {print $2}'; }

# stack_exists succeeds if there is a stack that is more than a change set that was never executed.
stack_exists() { [[ $(stack_status "$1") != '' && $(stack_status "$1") != REVIEW_IN_PROGRESS ]]; }

# stages prints the stages of the project that have a stack, or none.
stages() {
	local found
	found=$(cfn describe-stacks --query "Stacks[?StackStatus!='REVIEW_IN_PROGRESS'].StackName" --output text | tr '\t' '\n' |
		sed -nE "s/^$project-([a-z][a-z0-9]{1,7})-(data-sources|stream|athena|consumer)$/\1/p" | sort -u | tr '\n' ' ')
	found=${found% }
	echo "${found:-none}"
}

pause() { sleep "${DEPLOY_POLL_SECONDS:-3}"; }

# sha256 prints the hash of a file; macOS has another command for it.
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi; }

json_escape() {
	local text=${1//\\/\\\\}
	text=${text//\"/\\\"}
	text=${text//$'\t'/\\t}
	printf '%s' "${text//$'\n'/\\n}"
}

# remember_events makes follow skip the events of a stack so far.
shown='|'
remember_events() {
	shown="|$(cfn describe-stack-events --no-paginate --stack-name "$1" --query 'StackEvents[].EventId' --output text | tr '\t' '|')|"
}

# follow prints the events of a stack until it is stable, and fails unless that is in the wanted state. It ignores events that
# remember_events has seen. CloudFormation has timeouts of its own; this gives up after two hours. A stack that is being deleted
# is named by its id, with which it can be described once it is gone.
follow() {
	local stack=$1 wanted=$2 name id status resource own reason rest='' begun=$SECONDS
	name=${stack#*:stack/}
	name=${name%%/*}
	while ((SECONDS - begun < 7200)); do
		cfn describe-stack-events --no-paginate --stack-name "$stack" --output text \
			--query 'reverse(StackEvents)[].[EventId,ResourceStatus,LogicalResourceId,PhysicalResourceId==StackId,ResourceStatusReason]' >"$work/events"
		while IFS=$'\t' read -r id status resource own reason; do
			if [[ -z $id || $shown == *"|$id|"* ]]; then continue; fi
			shown+="$id|"
			case $status in
			*_FAILED) printf '  %-24s %s: %s\n' "$status" "$resource" "$reason" ;;
			*_COMPLETE) printf '  %-24s %s\n' "$status" "$resource" ;;
			esac
			if [[ $own == True && $status != *_IN_PROGRESS ]]; then rest=$status; fi
		done <"$work/events"
		case $rest in
		"$wanted") say "  $name: $wanted after $((SECONDS - begun)) s" && return ;;
		'') pause ;;
		*) fail "stack $name is $rest; the events above show why" ;;
		esac
	done
	fail "stack $name is not stable after two hours"
}
