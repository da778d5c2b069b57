package awshttp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"aws-streaming-pipeline/internal/awshttp"
)

// Session keys in a file are renewed there. The controls are the keys before the file is read again, and a file that is half written.
func TestAccount_ReadsACredentialsFileAgain(t *testing.T) {
	bare(t)
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(id string) string {
		return fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=secret\naws_session_token=session\n", id)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	write(keys("first"))
	synctest.Test(t, func(t *testing.T) {
		account, err := awshttp.Account(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ content, want string }{
			{keys("first"), "first"}, {keys("second"), "second"}, {"[default\nhalf", "second"}, {"", "second"}, {keys("third"), "third"},
		} {
			before, err := account.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			write(step.content)
			if now, err := account.Credentials.Retrieve(t.Context()); err != nil || now.AccessKeyID != before.AccessKeyID {
				t.Errorf("at once the key is %q, %v", now.AccessKeyID, err)
			}
			time.Sleep(2 * time.Minute)
			if now, err := account.Credentials.Retrieve(t.Context()); err != nil || now.AccessKeyID != step.want {
				t.Errorf("the key is %q, %v, want %q", now.AccessKeyID, err, step.want)
			}
		}
	})
}
