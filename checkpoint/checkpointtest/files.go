package checkpointtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"aws-streaming-pipeline/checkpoint"
)

// Files returns n files that are staged in uploads of the given number of parts. Their ids, ETags and checksums are as
// random as S3's, so that they compress like real ones. The same arguments return the same files.
func Files(n, parts int) []checkpoint.File {
	random := rand.NewChaCha8([32]byte{1})
	bytes := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	files := make([]checkpoint.File, n)
	for i := range files {
		f := checkpoint.File{
			Bucket:    "example-data-lake",
			Key:       fmt.Sprintf("trips/year=2026/month=11/day=%02d/hour=%02d/%s-%05d.parquet", i/24%30, i%24, hex.EncodeToString(bytes(16)), i),
			Rows:      int64(i) * 7919,
			Partition: fmt.Sprintf("year=2026/month=11/day=%02d/hour=%02d", i/24%30, i%24),
			Reason:    "interval",
		}
		staged := fmt.Appendf(nil, `{"upload_id":%q`, base64.RawURLEncoding.EncodeToString(bytes(96)))
		separator := `,"parts":[`
		for range parts {
			size := 5<<20 + int64(bytes(1)[0])
			staged = fmt.Appendf(staged, `%s{"etag":%q,"bytes":%d,"checksum":%q}`, separator,
				`"`+hex.EncodeToString(bytes(16))+`"`, size, base64.StdEncoding.EncodeToString(bytes(4)))
			separator = ","
			f.Bytes += size
		}
		if parts > 0 {
			staged = append(staged, ']')
		}
		f.Staged = append(staged, '}')
		files[i] = f
	}
	return files
}
