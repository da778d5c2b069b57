package record_test

import (
	"math/big"
	"testing"

	"aws-streaming-pipeline/record"
)

// lastHashKey is the last place of the space.
var lastHashKey = record.HashKey{High: 1<<64 - 1, Low: 1<<64 - 1}

const (
	maxHashKey    = "340282366920938463463374607431768211455"
	middleHashKey = "170141183460469231731687303715884105728" // 2^127
)

func TestParseHashKey_ReadsTheWholeSpaceAndNothingElse(t *testing.T) {
	for _, s := range []string{"0", "1", "10", "18446744073709551615", "18446744073709551616", middleHashKey, maxHashKey} {
		k, err := record.ParseHashKey(s)
		if err != nil || k.String() != s {
			t.Errorf("%s: got %s, %v", s, k, err)
		}
	}
	if k, err := record.ParseHashKey(maxHashKey); err != nil || k != lastHashKey {
		t.Errorf("the largest key is %v, %v", k, err)
	}
	for _, s := range []string{"", "-1", "+1", " 1", "1e3", "0x10", "one",
		"340282366920938463463374607431768211456", "3402823669209384634633746074317682114550", "9999999999999999999999999999999999999999"} {
		if k, err := record.ParseHashKey(s); err == nil {
			t.Errorf("%q was read as %s", s, k)
		}
	}
}

func TestHashKeyOf_IsTheMD5AsANumber(t *testing.T) {
	// RFC 1321, appendix A.5: the MD5 of "message digest".
	want, _ := new(big.Int).SetString("f96b697d7cb7938d525a2f31aaf161d0", 16)
	if got := record.HashKeyOf("message digest"); got.String() != want.String() {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHashRange_ContainsBothItsEnds(t *testing.T) {
	tests := []struct {
		first, last, key string
		want             bool
	}{
		{"0", maxHashKey, "0", true},
		{"0", maxHashKey, maxHashKey, true},
		{middleHashKey, maxHashKey, middleHashKey, true},
		{middleHashKey, maxHashKey, "170141183460469231731687303715884105727", false},
		{"0", "170141183460469231731687303715884105727", middleHashKey, false},
		{"18446744073709551616", "18446744073709551616", "18446744073709551616", true},
		{"18446744073709551616", "18446744073709551616", "18446744073709551615", false},
		{"5", "18446744073709551620", "18446744073709551617", true}, // low half below that of First
		{"5", "18446744073709551620", "18446744073709551621", false},
	}
	for _, tt := range tests {
		r, err := record.ParseHashRange(tt.first, tt.last)
		if err != nil {
			t.Fatal(err)
		}
		k, err := record.ParseHashKey(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Contains(k); got != tt.want {
			t.Errorf("%s in %s..%s: %v", tt.key, tt.first, tt.last, got)
		}
	}
}

func TestParseHashRange_RefusesWhatIsNoRange(t *testing.T) {
	for _, tt := range [][2]string{{"x", "1"}, {"1", "x"}, {"2", "1"}} {
		if r, err := record.ParseHashRange(tt[0], tt[1]); err == nil {
			t.Errorf("%v was read as %v", tt, r)
		}
	}
}
