# What infra/deploy and infra/destroy share. The caller sets stage, project and region.

fail() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 403)) || fail "bash $BASH_VERSION is too old, 4.3 is needed (macOS: brew install bash)"

say() { printf "%s\n" "$*"; }

# confirm asks on the terminal. Where nobody can be asked the answer is no.
confirm() {
	local answer
	if [[ ! -t 0 ]]; then
		echo "$1 nobody is there to be asked" >&2
		return 1
	fi
	read -r -p "$1 [y/N] " answer
	[[ $answer == y || $answer == Y || $answer == yes ]]
}

# check_names holds the names to what the templates take, before anything is done.
check_names() {
	[[ -n $stage ]] || fail "--stage is required"
	[[ $stage =~ ^[a-z][a-z0-9]{1,7}$ ]] || fail "--stage $stage: want 2 to 8 lower-case letters and digits, a letter first"
	[[ $project =~ ^[a-z][a-z0-9-]{1,16}[a-z0-9]$ ]] || fail "--project $project: want 3 to 18 lower-case letters, digits and hyphens"
}

# connect finds out whom the AWS CLI speaks for, and says so.
connect() {
	command -v aws >/dev/null || fail "the AWS CLI is missing: see https://docs.aws.amazon.com/cli/"
	if [[ -n $region ]]; then export AWS_REGION=$region AWS_DEFAULT_REGION=$region; fi
	export AWS_PAGER=''
	local arn
	arn=$(aws sts get-caller-identity --query Arn --output text) || fail "there are no credentials for AWS"
	partition=$(cut -d: -f2 <<<"$arn")
	region=${region:-$(aws configure get region || true)}
	[[ -n $region ]] || fail "--region is required: neither AWS_REGION nor the profile has one"
	say "account $(cut -d: -f5 <<<"$arn"), region $region, stage $stage of $project"
}

cfn() { aws cloudformation "$@"; }

stack_name() { echo "$project-$stage-$1"; }

# stack_status prints nothing if there is no such stack.
stack_status() {
	local answer
	if answer=$(cfn describe-stacks --stack-name "$1" --query 'Stacks[0].StackStatus' --output text 2>&1); then
		echo "$answer"
	elif [[ $answer != *"does not exist"* ]]; then
		fail "describe stack $1: $answer"
	fi
}

# output prints an output of a stack of the stage, or nothing.
output() {
	local status value
	status=$(stack_status "$(stack_name "$1")")
	if [[ -z $status || $status == REVIEW_IN_PROGRESS ]]; then return; fi
	value=$(cfn describe-stacks --stack-name "$(stack_name "$1")" --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue" --output text)
	if [[ $value != None ]]; then echo "$value"; fi
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

# remember_events makes follow begin behind what has happened to a stack so far.
shown=''
remember_events() {
	shown=$(cfn describe-stack-events --stack-name "$1" --max-items 200 --query 'StackEvents[].EventId' --output text 2>/dev/null | tr '\t' '|' || true)
	shown="|$shown|"
}

# follow prints what happens to a stack until it is in the wanted state, and fails if it comes to rest in another. CloudFormation
# ends what takes it too long by itself; this gives up after two hours. The stack may be named by its id, by which it can
# be described when it is deleted.
follow() {
	local stack=$1 wanted=$2 name status event begun=$SECONDS
	name=${stack#*:stack/}
	name=${name%%/*}
	while ((SECONDS - begun < 7200)); do
		status=$(stack_status "$stack")
		while IFS= read -r event; do
			show_event "$event"
		done < <(cfn describe-stack-events --stack-name "$stack" --max-items 200 \
			--query 'reverse(StackEvents)[].[EventId,ResourceStatus,LogicalResourceId,ResourceStatusReason]' --output text 2>/dev/null || true)
		case ${status:-DELETE_COMPLETE} in
		"$wanted") say "  $name: $wanted after $((SECONDS - begun)) s" && return ;;
		*_IN_PROGRESS) pause ;;
		*) fail "stack $name is ${status:-deleted}; the events above say why" ;;
		esac
	done
	fail "stack $name is still $status after two hours"
}

# show_event prints an event that was not printed before and that says more than that something has begun.
show_event() {
	local id status resource reason
	IFS=$'\t' read -r id status resource reason <<<"$1"
	if [[ -z ${id:-} || $id == None || $shown == *"|$id|"* ]]; then return; fi
	shown+="$id|"
	case $status in
	*_FAILED) printf '  %-24s %s: %s\n' "$status" "$resource" "$reason" ;;
	*_COMPLETE) printf '  %-24s %s\n' "$status" "$resource" ;;
	esac
}
