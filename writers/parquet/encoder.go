package parquet

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"aws-streaming-pipeline/record/schema"
	"aws-streaming-pipeline/record/schema/shred"
)

const (
	// pageRows is the number of rows per page, as in parquet-java: reading one row reads its whole page.
	pageRows = 20_000
	// pageLevels is the number of values per page, including nulls, if rows have many: 1 MiB of 8-byte numbers. A page
	// ends at the end of a row.
	pageLevels = 128 << 10
)

// encoder turns columns into pages. It keeps its memory between row groups, except that of out, which waits with the row
// group to be written.
type encoder struct {
	format *Format
	codec  codec

	out        []byte // the row group
	page       []byte // before compression
	compressed []byte
	coded      []byte  // one run of levels, indexes or deltas
	levels     []uint8 // levels of a flat column
	words      []int64 // the values of a number column, doubles by their bits; not the encoder's own for integers
	floats     []int64 // memory of words for doubles
	ints       []int32
	text       shred.Text
	chunks     []shred.Chunk // the values of a text column
	dict       dictionary
	spans      []span
}

func newEncoder(f *Format) *encoder {
	return &encoder{format: f, codec: newCodec(f.options.Compression)}
}

// span is the content of one page.
type span struct {
	levels, levelsEnd int
	values, valuesEnd int
	row, rows         int
	text              []byte // the values of a text column without a dictionary
	headroom          []byte // shred.Headroom bytes followed by text, if they are free
}

func (s span) nulls() int { return s.levelsEnd - s.levels - (s.valuesEnd - s.values) }

// encodedChunk is a column of a row group. Offsets count from the start of the row group until shift.
type encodedChunk struct {
	meta        columnMetaData
	columnIndex format.ColumnIndex
	offsetIndex format.OffsetIndex
	dictionary  bool
	nans        int64
	filter      bloom.SplitBlockFilter // until it is written
	bloom       bool
}

// encodedGroup is a row group without its bytes.
type encodedGroup struct {
	rows   int64
	offset int64 // in the file, once it is placed
	chunks []*encodedChunk
}

// memory is about what the row group's entries in footer and indexes take until the file ends.
func (g *encodedGroup) memory() (size int) {
	for _, c := range g.chunks {
		const perPage = int(unsafe.Sizeof(format.PageLocation{})) + 2*int(unsafe.Sizeof([]byte(nil))) + 2*8 // bounds, nulls
		size += int(unsafe.Sizeof(*c)) + 192 /* encodings, in small slices */ + cap(c.offsetIndex.PageLocations)*perPage
		size += len(c.meta.Statistics.MinValue) + len(c.meta.Statistics.MaxValue)
		for i := range c.columnIndex.MinValues {
			size += len(c.columnIndex.MinValues[i]) + len(c.columnIndex.MaxValues[i])
		}
	}
	return size
}

// shift moves a row group's offsets to its position in the file.
func (g *encodedGroup) shift(offset int64) {
	g.offset += offset
	for _, c := range g.chunks {
		c.meta.DataPageOffset += offset
		if c.dictionary {
			c.meta.DictionaryPageOffset += offset
		}
		if c.bloom {
			c.meta.BloomFilterOffset += offset
		}
		for i := range c.offsetIndex.PageLocations {
			c.offsetIndex.PageLocations[i].Offset += offset
		}
	}
}

// meta returns the row group's entry in the footer.
func (g *encodedGroup) meta(ordinal int16) rowGroup {
	group := rowGroup{NumRows: g.rows, FileOffset: g.offset, Ordinal: ordinal}
	for _, c := range g.chunks {
		group.Columns = append(group.Columns, columnChunk{MetaData: c.meta})
		group.TotalByteSize += c.meta.TotalUncompressedSize
		group.TotalCompressedSize += c.meta.TotalCompressedSize
	}
	return group
}

// expect reserves memory for a row group with size bytes of vectors, to avoid copies while it grows.
func (e *encoder) expect(size int) {
	if e.format.options.Compression != Uncompressed {
		size /= 2
	}
	if out, ok := e.format.outputs.Get().(*[]byte); ok {
		e.out = *out
	}
	e.out = slices.Grow(e.out[:0], size)
}

// memory returns roughly the bytes that the encoder holds, without out.
func (e *encoder) memory() int {
	return cap(e.page) + cap(e.compressed) + cap(e.coded) + cap(e.levels) + 8*cap(e.floats) + 4*cap(e.ints) + e.text.Memory() + e.dict.memory()
}

// group encodes a row group into out.
func (e *encoder) group(columns []*shred.Column, rows int) (*encodedGroup, error) {
	e.out = e.out[:0]
	defer func() { // they belong to the columns
		e.words, e.chunks = nil, nil
		clear(e.spans[:cap(e.spans)])
		e.text.Forget()
	}()
	g := &encodedGroup{rows: int64(rows)}
	for _, c := range columns {
		chunk, err := e.column(c)
		if err != nil {
			return nil, err
		}
		g.chunks = append(g.chunks, chunk)
	}
	for _, chunk := range g.chunks {
		if err := e.bloom(chunk); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// column encodes one column chunk.
func (e *encoder) column(c *shred.Column) (*encodedChunk, error) {
	start := len(e.out)
	chunk := &encodedChunk{meta: columnMetaData{
		Type: physicalType(c.Field), PathInSchema: c.Path, Codec: e.format.codec, NumValues: int64(c.Levels()),
	}}
	e.load(c)
	chunk.dictionary = e.dict.build(c, e.words, e.chunks)
	encoding := e.encoding(c, chunk.dictionary)
	e.split(c, chunk.dictionary)
	if chunk.dictionary {
		chunk.meta.DictionaryPageOffset = int64(start)
		if err := e.dictionaryPage(chunk); err != nil {
			return nil, err
		}
	}
	chunk.meta.DataPageOffset = int64(len(e.out))
	bounds := newBounds(c)
	for _, s := range e.spans {
		if err := e.dataPage(c, chunk, s, encoding); err != nil {
			return nil, err
		}
		bounds.addPage(e, s, chunk.dictionary)
	}
	bounds.finish(chunk)
	if slices.Contains(e.format.options.Bloom, strings.Join(c.Path, ".")) {
		chunk.filter = e.filter(c, chunk.dictionary)
	}
	chunk.meta.TotalCompressedSize = int64(len(e.out) - start)
	chunk.noteEncodings(encoding, len(e.spans))
	return chunk, nil
}

func (c *encodedChunk) noteEncodings(encoding format.Encoding, pages int) {
	c.meta.Encoding = thrift.Slice[format.Encoding]{encoding, format.RLE}
	data := format.PageEncodingStats{PageType: format.DataPage, Encoding: encoding, Count: int32(pages)}
	if c.dictionary {
		c.meta.Encoding = append(c.meta.Encoding, format.Plain)
		dict := format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1}
		c.meta.EncodingStats = append(c.meta.EncodingStats, dict)
	}
	c.meta.EncodingStats = append(c.meta.EncodingStats, data)
}

// load converts number columns to words, and text columns to chunks.
func (e *encoder) load(c *shred.Column) {
	e.words = c.Ints
	if c.Bytes() {
		e.chunks = e.text.Chunks(c)
		return
	}
	if len(c.Doubles) == 0 {
		return
	}
	e.floats = slices.Grow(e.floats[:0], len(c.Doubles))[:len(c.Doubles)]
	e.words = e.floats
	if c.Field.Kind == schema.Float {
		for i, v := range c.Doubles {
			e.floats[i] = int64(math.Float32bits(float32(v)))
		}
		return
	}
	for i, v := range c.Doubles {
		e.floats[i] = int64(math.Float64bits(v))
	}
}

func (e *encoder) encoding(c *shred.Column, dictionary bool) format.Encoding {
	physical := physicalType(c.Field)
	switch {
	case dictionary:
		return format.RLEDictionary
	case e.format.options.PlainIntegers:
	case physical == format.Int32 || physical == format.Int64:
		return format.DeltaBinaryPacked
	}
	return format.Plain
}

// split divides levels and values into pages. A page begins with a record.
func (e *encoder) split(c *shred.Column, dictionary bool) {
	e.spans = e.spans[:0]
	if !c.Bytes() || dictionary || len(e.chunks) == 0 {
		e.addSpans(c, c.Levels(), nil)
		return
	}
	for i := range e.chunks {
		end := c.Levels()
		if i+1 < len(e.chunks) {
			end = e.chunks[i+1].FirstLevel
		}
		e.addSpans(c, end, e.chunks[i].Data)
	}
}

// addSpans adds spans from the end of the last one to a level. chunk has the values of a text column without a
// dictionary.
func (e *encoder) addSpans(c *shred.Column, end int, chunk []byte) {
	var s span
	if n := len(e.spans); n > 0 {
		last := e.spans[n-1]
		s = span{levelsEnd: last.levelsEnd, valuesEnd: last.valuesEnd, row: last.row + last.rows}
	}
	headroom, rest := chunk, chunk[min(shred.Headroom, len(chunk)):]
	for s.levelsEnd < end {
		s.levels, s.values = s.levelsEnd, s.valuesEnd
		s.levelsEnd, s.rows = pageEnd(c, s.levels, end)
		s.valuesEnd += valuesOf(c, s.levels, s.levelsEnd)
		if chunk != nil {
			size := len(rest) // most chunks are one page
			if s.levelsEnd < end {
				size = textSize(c, rest, s.valuesEnd-s.values)
			}
			s.text, rest = rest[:size], rest[size:]
			s.headroom = headroom[:min(len(headroom), shred.Headroom+size)]
			headroom = nil // the first page's values are followed by those of the next
		}
		e.spans = append(e.spans, s)
		s.row += s.rows
	}
}

// pageEnd returns the end of a page that begins at a level, and the number of its rows.
func pageEnd(c *shred.Column, from, end int) (levelsEnd, rows int) {
	if c.MaxRep == 0 {
		levelsEnd = min(from+pageRows, end)
		return levelsEnd, levelsEnd - from
	}
	for i, rep := range c.Reps[from:end] {
		if rep > 0 {
			continue
		}
		if rows == pageRows || i >= pageLevels {
			return from + i, rows
		}
		rows++
	}
	return end, rows
}

// textSize returns the number of bytes of the first values in text.
func textSize(c *shred.Column, text []byte, values int) (size int) {
	if c.WideDecimal() {
		return wideDecimalBytes * values
	}
	for range values {
		size += 4 + int(binary.LittleEndian.Uint32(text[size:]))
	}
	return size
}

func valuesOf(c *shred.Column, from, to int) int {
	if c.Flat() {
		first, _ := slices.BinarySearch(c.Nulls, uint32(from))
		end, _ := slices.BinarySearch(c.Nulls, uint32(to))
		return to - from - (end - first)
	}
	values := 0
	for _, def := range c.Defs[from:to] {
		if def == c.MaxDef {
			values++
		}
	}
	return values
}

// dataPage encodes, compresses and writes one page.
func (e *encoder) dataPage(c *shred.Column, chunk *encodedChunk, s span, encoding format.Encoding) error {
	if err := e.encodeLevels(c, s); err != nil {
		return err
	}
	page, err := e.encodeValues(c, s, encoding)
	if err != nil {
		return err
	}
	header := format.PageHeader{Type: format.DataPage}
	header.DataPageHeader = thrift.New(format.DataPageHeader{
		NumValues: int32(s.levelsEnd - s.levels), Encoding: encoding,
		DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		Statistics: format.Statistics{NullCount: int64(s.nulls())},
	})
	offset := len(e.out)
	long := encoding == format.Plain && len(s.text) >= longText*(s.valuesEnd-s.values)
	if err := e.write(chunk, header, page, long && c.Bytes()); err != nil {
		return err
	}
	chunk.offsetIndex.PageLocations = append(chunk.offsetIndex.PageLocations, format.PageLocation{
		Offset: int64(offset), CompressedPageSize: int32(len(e.out) - offset), FirstRowIndex: int64(s.row),
	})
	return nil
}

func (e *encoder) dictionaryPage(chunk *encodedChunk) error {
	header := format.PageHeader{Type: format.DictionaryPage}
	header.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{
		NumValues: int32(e.dict.count), Encoding: format.Plain,
	})
	e.page = e.dict.appendPlain(e.page[:0], chunk.meta.Type)
	return e.write(chunk, header, e.page, len(e.dict.plain) >= longText*e.dict.count)
}

// write compresses a page and appends it with its header. long means that it holds long texts.
func (e *encoder) write(chunk *encodedChunk, header format.PageHeader, page []byte, long bool) error {
	body, err := e.codec.compress(e.compressed, page, long)
	if err != nil {
		return err
	}
	if e.format.options.Compression != Uncompressed {
		e.compressed = body
	}
	header.UncompressedPageSize = int32(len(page))
	header.CompressedPageSize = int32(len(body))
	header.CRC = int32(crc32.ChecksumIEEE(body))
	h, err := marshal(&header)
	if err != nil {
		return err
	}
	chunk.meta.TotalUncompressedSize += int64(len(h) + len(page))
	e.out = append(append(e.out, h...), body...)
	return nil
}

// encodeLevels encodes the page's repetition and definition levels into page.
func (e *encoder) encodeLevels(c *shred.Column, s span) error {
	e.page = e.page[:0]
	switch {
	case c.MaxDef == 0:
		return nil
	case !c.Flat():
		if c.MaxRep > 0 {
			if err := e.appendLevels(c.Reps[s.levels:s.levelsEnd], c.MaxRep); err != nil {
				return err
			}
		}
		return e.appendLevels(c.Defs[s.levels:s.levelsEnd], c.MaxDef)
	case s.nulls() == 0:
		e.coded = binary.AppendUvarint(e.coded[:0], uint64(s.levelsEnd-s.levels)<<1) // one run
		e.coded = append(e.coded, 1)
		e.page = binary.LittleEndian.AppendUint32(e.page, uint32(len(e.coded)))
		e.page = append(e.page, e.coded...)
		return nil
	}
	return e.appendLevels(e.flatLevels(c, s), 1)
}

// flatLevels returns a level for each row of a flat column: whether it has a value.
func (e *encoder) flatLevels(c *shred.Column, s span) []uint8 {
	e.levels = slices.Grow(e.levels[:0], s.levelsEnd-s.levels)[:s.levelsEnd-s.levels]
	for i := range e.levels {
		e.levels[i] = 1
	}
	first, _ := slices.BinarySearch(c.Nulls, uint32(s.levels))
	for _, row := range c.Nulls[first:] {
		if int(row) >= s.levelsEnd {
			break
		}
		e.levels[int(row)-s.levels] = 0
	}
	return e.levels
}

func (e *encoder) appendLevels(levels []uint8, highest uint8) error {
	coder := rle.Encoding{BitWidth: bits.Len8(highest)}
	coded, err := coder.EncodeLevels(e.coded, levels)
	if err != nil {
		return err
	}
	e.coded = coded
	e.page = binary.LittleEndian.AppendUint32(e.page, uint32(len(coded)))
	e.page = append(e.page, coded...)
	return nil
}

// encodeValues returns the page: the levels, followed by the values.
func (e *encoder) encodeValues(c *shred.Column, s span, encoding format.Encoding) ([]byte, error) {
	switch {
	case encoding == format.RLEDictionary:
		return e.appendIndexes(s)
	case encoding == format.DeltaBinaryPacked:
		return e.appendDeltas(c, s)
	case c.Bytes():
		return e.wrapText(s), nil
	case c.Field.Kind == schema.Boolean:
		e.page = appendBits(e.page, c.Bools[s.values:s.valuesEnd])
	default:
		e.page = appendWords(e.page, e.words[s.values:s.valuesEnd], physicalType(c.Field))
	}
	return e.page, nil
}

func (e *encoder) appendIndexes(s span) ([]byte, error) {
	width := bits.Len(uint(e.dict.count - 1))
	coder := rle.Encoding{BitWidth: width}
	coded, err := coder.EncodeInt32(e.coded, e.dict.indexes[s.values:s.valuesEnd])
	if err != nil {
		return nil, err
	}
	e.coded = coded
	e.page = append(append(e.page, byte(width)), coded...)
	return e.page, nil
}

func (e *encoder) appendDeltas(c *shred.Column, s span) ([]byte, error) {
	var err error
	values := e.words[s.values:s.valuesEnd]
	if physicalType(c.Field) == format.Int64 {
		e.coded, err = new(delta.BinaryPackedEncoding).EncodeInt64(e.coded, values)
	} else {
		e.ints = e.ints[:0]
		for _, v := range values {
			e.ints = append(e.ints, int32(v))
		}
		e.coded, err = new(delta.BinaryPackedEncoding).EncodeInt32(e.coded, e.ints)
	}
	if err != nil {
		return nil, err
	}
	e.page = append(e.page, e.coded...)
	return e.page, nil
}

// wrapText puts the levels before a page's text, in place if there is headroom for them.
func (e *encoder) wrapText(s span) []byte {
	if room := shred.Headroom - len(e.page); room >= 0 && len(s.headroom) > 0 {
		copy(s.headroom[room:], e.page)
		return s.headroom[room:]
	}
	e.page = append(e.page, s.text...)
	return e.page
}

// appendBits packs booleans, the first into the lowest bit.
func appendBits(dst []byte, bools []byte) []byte {
	for len(bools) >= 8 {
		w := binary.LittleEndian.Uint64(bools)
		dst = append(dst, byte(w*0x0102040810204080>>56)) // gathers the lowest bits of the eight bytes
		bools = bools[8:]
	}
	if len(bools) == 0 {
		return dst
	}
	last := byte(0)
	for i, b := range bools {
		last |= b << i
	}
	return append(dst, last)
}

// appendWords writes numbers without further encoding.
func appendWords(dst []byte, words []int64, physical format.Type) []byte {
	n := len(dst)
	if physical == format.Int32 || physical == format.Float {
		dst = slices.Grow(dst, 4*len(words))[:n+4*len(words)]
		for i, v := range words {
			binary.LittleEndian.PutUint32(dst[n+4*i:], uint32(v))
		}
		return dst
	}
	dst = slices.Grow(dst, 8*len(words))[:n+8*len(words)]
	for i, v := range words {
		binary.LittleEndian.PutUint64(dst[n+8*i:], uint64(v))
	}
	return dst
}
