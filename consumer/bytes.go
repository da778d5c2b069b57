package consumer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a size, written as 128MiB, 1GiB, 512KiB, 100MB or a plain number of bytes.
type Bytes int64

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Want describes valid values for errors.
func (*Bytes) Want() string { return "a size" }

// Decode parses a size, for envconfig.
func (b *Bytes) Decode(value string) error {
	number, factor := value, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(value, u.suffix); ok {
			number, factor = n, u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if inRange := n >= 0 && n*float64(factor) <= 1<<62; err != nil || !inRange {
		return errors.New("want a size such as 128MiB")
	}
	*b = Bytes(n * float64(factor))
	return nil
}

func (b Bytes) String() string {
	for i := len(units) - 1; i >= 0; i-- {
		if u := units[i]; strings.HasSuffix(u.suffix, "iB") && int64(b) >= u.factor && int64(b)%u.factor == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.factor, u.suffix)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
