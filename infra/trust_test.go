package infra_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/iam"
)

const (
	provider   = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
	repository = "octo/aws-streaming-pipeline"
)

// documentedTrust returns the trust policy of the README, for a repository.
func documentedTrust(t *testing.T) (string, iam.Trust) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 1 {
		t.Fatalf("the README has %d JSON documents", len(blocks))
	}
	// OWNER/aws-streaming-pipeline, or the name of a fork.
	name := regexp.MustCompile(`"([^/"]+)/([^/"]+)/\.github/`).FindStringSubmatch(blocks[0][1])
	if name == nil {
		t.Fatal("the policy names no workflow")
	}
	document := strings.NewReplacer(name[1]+"@OWNER_ID/"+name[2]+"@REPOSITORY_ID", "octo@11/aws-streaming-pipeline@22", "REPOSITORY_ID", "22",
		name[1]+"/"+name[2]+"/", repository+"/", "ACCOUNT", "123456789012").Replace(blocks[0][1])
	trust, err := iam.ParseTrust([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return document, trust
}

// claims are the claims of a job of this repository (GitHub Docs, "OpenID Connect reference"). Its subject names the
// environment if the job has one, and the event or branch otherwise.
func claims(environment, ref string, changed map[string]string) iam.Token {
	c := map[string]string{
		"aud": "sts.amazonaws.com", "sub": "repo:octo@11/aws-streaming-pipeline@22:environment:" + environment, "environment": environment,
		"repository": repository, "repository_id": "22", "repository_owner": "octo", "repository_owner_id": "11",
		"ref": ref, "event_name": "push", "workflow": "ci", "actor": "somebody",
		"job_workflow_ref": repository + "/.github/workflows/ci.yml@" + ref,
	}
	maps.Copy(c, changed)
	return iam.Token{Provider: provider, Claims: c}
}

// refused are tokens of jobs other than prod's deployment.
var refused = map[string]iam.Token{
	"a branch whose ci.yml deploys to prod": claims("prod", "refs/heads/feature", nil),
	"a tag":                                 claims("prod", "refs/tags/v1.0.0", nil),
	"the environment dev":                   claims("dev", "refs/heads/main", nil),
	"an environment of a similar name":      claims("prod2", "refs/heads/main", nil),
	"no environment":                        claims("", "refs/heads/main", map[string]string{"sub": "repo:octo@11/aws-streaming-pipeline@22:ref:refs/heads/main"}),
	"a pull request": claims("", "refs/pull/7/merge", map[string]string{
		"sub": "repo:octo@11/aws-streaming-pipeline@22:pull_request", "event_name": "pull_request",
	}),
	"a pull request that names the environment": claims("prod", "refs/pull/7/merge", map[string]string{"event_name": "pull_request"}),
	"a fork": claims("prod", "refs/heads/main", map[string]string{
		"sub": "repo:mallory@33/aws-streaming-pipeline@44:environment:prod", "repository": "mallory/aws-streaming-pipeline", "repository_id": "44",
		"repository_owner": "mallory", "repository_owner_id": "33", "job_workflow_ref": "mallory/aws-streaming-pipeline/.github/workflows/ci.yml@refs/heads/main",
	}),
	"another repository of the owner": claims("prod", "refs/heads/main", map[string]string{
		"sub": "repo:octo@11/other@55:environment:prod", "repository": "octo/other", "repository_id": "55",
		"job_workflow_ref": "octo/other/.github/workflows/ci.yml@refs/heads/main",
	}),
	"a repository under the name that this one had": claims("prod", "refs/heads/main", map[string]string{
		"sub": "repo:octo@66/aws-streaming-pipeline@77:environment:prod", "repository_id": "77", "repository_owner_id": "66",
	}),
	"another workflow of main": claims("prod", "refs/heads/main", map[string]string{
		"job_workflow_ref": repository + "/.github/workflows/other.yml@refs/heads/main",
	}),
	"a workflow that is called from another repository": claims("prod", "refs/heads/main", map[string]string{
		"job_workflow_ref": "mallory/tools/.github/workflows/ci.yml@refs/heads/main",
	}),
	"another audience":   claims("prod", "refs/heads/main", map[string]string{"aud": "https://github.com/octo"}),
	"another provider":   {Provider: strings.ReplaceAll(provider, "githubusercontent", "example"), Claims: claims("prod", "refs/heads/main", nil).Claims},
	"nothing but a name": {Provider: provider, Claims: map[string]string{"sub": "repo:octo@11/aws-streaming-pipeline@22:environment:prod"}},
}

func TestTrust_IsInTheDeploymentOfMainAlone(t *testing.T) {
	document, trust := documentedTrust(t)
	if !trust.Allows(claims("prod", "refs/heads/main", nil)) {
		t.Errorf("prod's deployment is refused by\n%s", document)
	}
	for name, token := range refused {
		if trust.Allows(token) {
			t.Errorf("%s is trusted by\n%s", name, document)
		}
	}
	// Trust in the environment's name alone is trust in everybody who may push a branch.
	named := regexp.MustCompile(`,\s*"token.actions.githubusercontent.com:(ref|job_workflow_ref)": "[^"]*"`).ReplaceAllString(document, "")
	weak, err := iam.ParseTrust([]byte(named))
	if err != nil {
		t.Fatal(err)
	}
	if named == document || !weak.Allows(refused["a branch whose ci.yml deploys to prod"]) {
		t.Errorf("the branch is refused without its conditions by\n%s", named)
	}
}

// The claims that the policy requires are those of the job that deploys prod.
func TestTrust_IsInTheJobOfTheWorkflow(t *testing.T) {
	document, _ := documentedTrust(t)
	all, _ := jobs(t)
	job := all["deploy-prod"]
	ref := regexp.MustCompile(`github\.ref == '([^']+)'`).FindStringSubmatch(job.If)
	if ref == nil {
		t.Fatalf("prod is deployed if %s", job.If)
	}
	file, err := filepath.Rel("..", workflow)
	if err != nil {
		t.Fatal(err)
	}
	has(t, document, `:environment:`+job.Environment+`"`, `:ref": "`+ref[1]+`"`, `:job_workflow_ref": "`+repository+`/`+filepath.ToSlash(file)+`@`+ref[1]+`"`)
}

// The guide asks for what AWS cannot check, and GitHub must enforce.
func TestReadme_AsksForWhatProtectsProd(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, guide, _ := strings.Cut(string(readme), "## Deploy from CI")
	guide, _, _ = strings.Cut(guide, "\n## ")
	has(t, strings.Join(strings.Fields(guide), " "), "an account of its own", "Deployment branches", "Required reviewers", "Prevent self-review",
		"Allow administrators to bypass", "Require a pull request", "Block force pushes", "customization/sub")
}
