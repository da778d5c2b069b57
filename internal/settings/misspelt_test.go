package settings_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/settings"
)

// only leaves these variables in the environment.
func only(t *testing.T, variables ...string) {
	before := os.Environ()
	os.Clearenv()
	t.Cleanup(func() {
		os.Clearenv()
		for _, v := range before {
			name, value, _ := strings.Cut(v, "=")
			os.Setenv(name, value)
		}
	})
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
}

var names = []string{"STREAM_NAME", "FILE_SIZE", "COMPRESSION", "TABLE", "POSTGRES_DSN", "POSTGRES_USER", "HTTP_ADDRESS", "COMMIT_INTERVAL", "FAN_OUT_CONSUMER", "S3_KMS_KEY_ID"}

func TestMisspelt_NamesTheSettingThatWasMeant(t *testing.T) {
	for name, like := range map[string]string{
		"FILE_SIZES": "FILE_SIZE", "STEAM_NAME": "STREAM_NAME", "COMPRESION": "COMPRESSION", "STERAM_NAME": "STREAM_NAME", "stream_name": "STREAM_NAME",
		"STREAMNAME": "STREAM_NAME", "FANOUT_CONSUMER": "FAN_OUT_CONSUMER", "COMMIT-INTERVAL": "COMMIT_INTERVAL", "COMIT_INTERVALL": "COMMIT_INTERVAL",
		"AWS_REGOIN": "AWS_REGION", "AWS_SECRET_ACESS_KEY": "AWS_SECRET_ACCESS_KEY", "TABLES": "TABLE",
	} {
		only(t, name+"=x")
		if got, want := settings.Misspelt(names), []string{name + " is not a setting: did you mean " + like + "?"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	only(t, "FILE_SIZE=1", "FILE_SIZES=2")
	if got := settings.Misspelt(names); got != nil {
		t.Errorf("a setting that is set is suggested: %q", got)
	}
}
