package command

import "testing"

func TestMeant_FindsTheNameOfAMisspeltWord(t *testing.T) {
	names := []string{"audit", "checkpoint", "check", "compare", "COMPRESSION", "FILE_SIZE", "STREAM_NAME", "PREFIX", "from", "from-year"}
	for word, want := range map[string]string{
		"chekpoint": "checkpoint", "adit": "audit", "AUDIT": "audit", "audti": "audit", "comp": "", "compa": "compare", "COMPRESION": "COMPRESSION",
		"FILE_SIZES": "FILE_SIZE", "STEAM_NAME": "STREAM_NAME", "PERFIX": "PREFIX", "fro": "from", "form": "from", "checkp": "checkpoint",
		"": "", "x": "", "HOME": "", "delete": "", "PATH": "", "LANGUAGE": "",
	} {
		if got := Meant(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
