package nearest

import "testing"

func TestTo_FindsWhatWasMeant(t *testing.T) {
	names := []string{"audit", "checkpoint", "check", "compare", "COMPRESSION", "FILE_SIZE", "STREAM_NAME", "PREFIX", "from", "from-year"}
	for word, want := range map[string]string{
		"chekpoint": "checkpoint", "adit": "audit", "AUDIT": "audit", "audti": "audit", "comp": "", "compa": "compare", "COMPRESION": "COMPRESSION",
		"FILE_SIZES": "FILE_SIZE", "STEAM_NAME": "STREAM_NAME", "PERFIX": "PREFIX", "fro": "from", "form": "from", "checkp": "checkpoint",
		"": "", "x": "", "HOME": "", "delete": "", "PATH": "", "LANGUAGE": "",
	} {
		if got := To(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDistance_CountsASwapOnce(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
