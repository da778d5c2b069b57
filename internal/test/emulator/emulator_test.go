package emulator_test

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aws-streaming-pipeline/internal/test/emulator"
)

// Each emulator answers a request on the loopback address and nowhere else.
func TestEmulators_AnswerOnLoopbackOnly(t *testing.T) {
	emulators := map[string]func(*testing.T) emulator.Endpoint{
		"kinesalite":     emulator.Kinesalite,
		"kinesis-local":  emulator.KinesisLocal,
		"dynalite":       emulator.Dynalite,
		"moto":           emulator.Moto,
		"DynamoDB Local": emulator.DynamoDBLocal,
		"versitygw":      emulator.Versitygw,
		"IcebergCatalog": func(t *testing.T) emulator.Endpoint {
			return emulator.Endpoint{URL: emulator.IcebergCatalog(t, emulator.Endpoint{URL: "http://127.0.0.1:1"}, "s3://lake")}
		},
	}
	outside := outsideAddress(t)
	for name, start := range emulators {
		t.Run(name, func(t *testing.T) {
			endpoint := start(t)
			answer, err := http.Get(endpoint.URL)
			if err != nil {
				t.Fatalf("get %s: %v", endpoint.URL, err)
			}
			if err := answer.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if outside == "" {
				return
			}
			parsed, err := url.Parse(endpoint.URL)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", net.JoinHostPort(outside, parsed.Port()))
			if err == nil {
				t.Errorf("%s accepts connections at %s", name, conn.RemoteAddr())
				_ = conn.Close()
			}
		})
	}
}

// outsideAddress returns an address of this machine that is not loopback, or nothing if it has none.
func outsideAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return ""
}

// The manifests are committed, so they must not contain the address of a registry.
func TestManifests_NameNoRegistry(t *testing.T) {
	for _, folder := range []string{"npm", "python", "engines", "encoders", "tables", "tools", "shell", "validator", "sam", "cdk", "terraform", "java", "codecs", "parquetjava", "icebergjava", "spark"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				// The namespace of a pom is an identifier, and a package's funding page is not a registry.
				if strings.Contains(line, "://") && !strings.Contains(line, "xmlns=") && !strings.Contains(line, `"url":`) {
					t.Errorf("%s/%s names a host: %s", folder, entry.Name(), strings.TrimSpace(line))
				}
			}
		}
	}
}
