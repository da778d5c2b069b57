package iceberg

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"

	"aws-streaming-pipeline/record/table"
)

// The daemon's transforms compute what iceberg-go's do, for all types and for values on both sides of zero and 1970.
func TestTransforms_AgreeWithIcebergGo(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 1))
	compared := map[string]int{}
	for range 2000 {
		for _, name := range []string{
			"boolean", "int", "long", "float", "double", "decimal(9, 2)", "decimal(18, 4)", "decimal(38, 0)", "date", "time", "timestamp",
			"timestamptz", "string", "uuid", "fixed[4]", "binary",
		} {
			for _, transform := range []string{
				"identity", "void", "year", "month", "day", "hour",
				fmt.Sprintf("bucket[%d]", 1+random.IntN(math.MaxInt32)), fmt.Sprintf("bucket[%d]", 1+random.IntN(20)),
				fmt.Sprintf("truncate[%d]", 1+random.IntN(20)), fmt.Sprintf("truncate[%d]", 1+random.IntN(1<<20)),
			} {
				if agree(t, random, transform, name) {
					ours, _ := table.ParseTransform(transform)
					compared[ours.Name+" of "+name]++
				}
			}
		}
	}
	// 2 transforms of all types, 3 of dates and times, hour of times alone, bucket of all but 3, truncate of 7.
	if len(compared) != 2*16+3*3+2+13+7 {
		t.Errorf("%d pairs of transforms and types were compared: %v", len(compared), compared)
	}
}

// agree compares a transform of one random value. It reports whether the transform takes the type.
func agree(t *testing.T, random *rand.Rand, transform, name string) bool {
	t.Helper()
	ours, err := table.ParseTransform(transform)
	if err != nil {
		t.Fatal(err)
	}
	source, err := table.ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := iceberg.ParseTransform(transform)
	if err != nil || theirs.String() != ours.String() {
		t.Fatalf("%s: iceberg-go has %v, %v", transform, theirs, err)
	}
	literal, theirSource := randomLiteral(random, source), theirType(t, source)
	result, err := ours.Result(source)
	if takes := theirs.CanTransform(theirSource); takes != (err == nil) {
		t.Fatalf("%s of %s: %v, and iceberg-go says %v", transform, name, err, takes)
	}
	if err != nil {
		return false
	}
	if want := theirs.ResultType(theirSource).String(); result.String() != want {
		t.Fatalf("%s of %s: the result is of type %s, iceberg-go's %s", transform, name, result, want)
	}
	var want []byte
	if applied := theirs.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: literal}); applied.Valid {
		want = encoded(t, applied.Val)
	}
	if got := ours.Append(nil, encoded(t, literal), source); !bytes.Equal(got, want) {
		t.Fatalf("%s of %s %v: got %x, iceberg-go has %x", transform, name, literal, got, want)
	}
	return true
}

func encoded(t *testing.T, l iceberg.Literal) []byte {
	t.Helper()
	b, err := l.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
	if err != nil {
		t.Fatalf("%v: %v", l, err)
	}
	return b
}

func randomLiteral(random *rand.Rand, typ table.Type) iceberg.Literal {
	// Few bits as often as many, and both signs.
	long := int64(random.Uint64()) >> random.IntN(64)
	// Years -5000 to 9000: beyond, iceberg-go's times overflow.
	micros := random.Int64N(14000*365*24*3600e6) - 7000*365*24*3600e6
	switch typ.Name {
	case table.Boolean:
		return iceberg.NewLiteral(long&1 == 1)
	case table.Int:
		return iceberg.NewLiteral(int32(long))
	case table.Long:
		return iceberg.NewLiteral(long)
	case table.Float:
		return iceberg.NewLiteral(float32(random.NormFloat64()))
	case table.Double:
		return iceberg.NewLiteral(random.NormFloat64())
	case table.Decimal:
		digits := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(1+random.IntN(typ.Precision))), nil)
		unscaled := new(big.Int).Rem(big.NewInt(long), digits)
		if typ.Precision > 18 {
			unscaled.Mul(unscaled, big.NewInt(long)).Rem(unscaled, digits)
		}
		decimal := iceberg.DecimalLiteral{Scale: typ.Scale}
		if err := decimal.UnmarshalBinary(twosComplement(unscaled)); err != nil {
			panic(err)
		}
		return decimal
	case table.Date:
		return iceberg.NewLiteral(iceberg.Date(micros / (24 * 3600e6)))
	case table.Time:
		return iceberg.NewLiteral(iceberg.Time(random.Int64N(24 * 3600e6)))
	case table.String:
		return iceberg.NewLiteral(randomText(random))
	case table.UUID:
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], random.Uint64())
		return iceberg.NewLiteral(id)
	case table.Fixed:
		return iceberg.FixedLiteral(binary.BigEndian.AppendUint32(nil, random.Uint32()))
	case table.Binary:
		return iceberg.NewLiteral([]byte(randomText(random)))
	}
	return iceberg.NewLiteral(iceberg.Timestamp(micros))
}

func twosComplement(v *big.Int) []byte {
	return new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), 128)).FillBytes(make([]byte, 17))[1:]
}

// theirType is a type in iceberg-go.
func theirType(t *testing.T, typ table.Type) iceberg.Type {
	t.Helper()
	var field iceberg.NestedField
	if err := json.Unmarshal(fmt.Appendf(nil, `{"id":1,"name":"x","type":%q,"required":false}`, typ), &field); err != nil {
		t.Fatal(err)
	}
	return field.Type
}

func randomText(random *rand.Rand) string {
	text := make([]rune, random.IntN(30))
	for i := range text {
		text[i] = []rune("aZ0 .äß漢字😀\x00")[random.IntN(11)]
	}
	return string(text)
}
