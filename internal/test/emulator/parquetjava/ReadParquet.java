import io.airlift.compress.snappy.SnappyDecompressor;
import io.airlift.compress.zstd.ZstdDecompressor;
import java.io.BufferedWriter;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.zip.GZIPInputStream;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.ColumnReader;
import org.apache.parquet.column.impl.ColumnReadStoreImpl;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.column.statistics.Statistics;
import org.apache.parquet.column.values.bloomfilter.BloomFilter;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.filter2.compat.FilterCompat;
import org.apache.parquet.filter2.predicate.FilterApi;
import org.apache.parquet.filter2.predicate.FilterPredicate;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.internal.column.columnindex.BoundaryOrder;
import org.apache.parquet.internal.column.columnindex.ColumnIndex;
import org.apache.parquet.internal.column.columnindex.OffsetIndex;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName;
import org.apache.parquet.schema.Type;

/**
 * Reads the Parquet files of its arguments with parquet-java and writes the rows of each beside it, under its name with
 * ".rows", as one JSON object a line: dates as days, timestamps as microseconds since 1970, decimals as text, maps as
 * lists of pairs. Every value is held to what the file says of it: the statistics of its column chunk, the bounds and
 * rows of its page in the indexes, and its Bloom filter; and some values are looked up through all of these. Page
 * checksums are verified. What does not hold ends the program with its place.
 */
public class ReadParquet {
    private static Path path;

    public static void main(String[] args) throws Exception {
        for (String arg : args) {
            path = Path.of(arg);
            long rows = writeRows();
            int[] checked = checkColumns();
            System.out.printf("%s rows=%d pages=%d filters=%d lookups=%d%n", path.getFileName(), rows, checked[0], checked[1], checked[2]);
        }
    }

    private static ParquetFileReader open(FilterPredicate filter) throws Exception {
        ParquetReadOptions.Builder options =
                ParquetReadOptions.builder(new PlainParquetConfiguration()).usePageChecksumVerification().withCodecFactory(new Codecs());
        if (filter != null) {
            options.withRecordFilter(FilterCompat.get(filter));
        }
        return ParquetFileReader.open(new LocalInputFile(path), options.build());
    }

    private static void require(boolean holds, String claim, Object... args) {
        if (!holds) {
            throw new AssertionError(path + ": " + String.format(claim, args));
        }
    }

    /** Decompresses without Hadoop's codecs. */
    private static class Codecs implements CompressionCodecFactory {
        public BytesInputCompressor getCompressor(CompressionCodecName name) { throw new UnsupportedOperationException(); }

        public void release() {}

        public BytesInputDecompressor getDecompressor(CompressionCodecName name) {
            return new BytesInputDecompressor() {
                public BytesInput decompress(BytesInput page, int size) throws IOException {
                    if (name == CompressionCodecName.UNCOMPRESSED) {
                        return page;
                    }
                    byte[] in = page.toByteArray(), out = new byte[size];
                    int length = inflate(name, in, out);
                    require(length == size, "a page of %d bytes has %d", size, length);
                    return BytesInput.from(out);
                }

                public void decompress(ByteBuffer in, int inSize, ByteBuffer out, int outSize) { throw new UnsupportedOperationException(); }

                public void release() {}
            };
        }

        private static int inflate(CompressionCodecName name, byte[] in, byte[] out) throws IOException {
            switch (name) {
                case SNAPPY: return new SnappyDecompressor().decompress(in, 0, in.length, out, 0, out.length);
                case ZSTD: return new ZstdDecompressor().decompress(in, 0, in.length, out, 0, out.length);
                case GZIP: return new GZIPInputStream(new ByteArrayInputStream(in)).readNBytes(out, 0, out.length);
                default: throw new IllegalArgumentException("codec " + name);
            }
        }
    }

    // ---- rows

    private static long writeRows() throws Exception {
        long rows = 0;
        try (ParquetFileReader reader = open(null);
                BufferedWriter out = Files.newBufferedWriter(Path.of(path + ".rows"))) {
            for (PageReadStore pages; (pages = reader.readNextRowGroup()) != null; ) {
                RecordReader<Group> records = records(reader, pages, false);
                for (long i = 0; i < pages.getRowCount(); i++, rows++) {
                    StringBuilder row = new StringBuilder();
                    object(row, records.read());
                    out.append(row).append('\n');
                }
            }
            require(rows == reader.getRecordCount(), "%d rows, the footer says %d", rows, reader.getRecordCount());
        }
        return rows;
    }

    private static RecordReader<Group> records(ParquetFileReader reader, PageReadStore pages, boolean filtered) {
        MessageType schema = reader.getFileMetaData().getSchema();
        MessageColumnIO io = new ColumnIOFactory(reader.getFileMetaData().getCreatedBy()).getColumnIO(schema);
        GroupRecordConverter converter = new GroupRecordConverter(schema);
        return filtered ? io.getRecordReader(pages, converter, filter) : io.getRecordReader(pages, converter);
    }

    private static void object(StringBuilder out, Group group) {
        GroupType type = group.getType();
        out.append('{');
        for (int i = 0; i < type.getFieldCount(); i++) {
            if (i > 0) {
                out.append(',');
            }
            text(out, type.getFieldName(i));
            out.append(':');
            value(out, group, i, 0);
        }
        out.append('}');
    }

    private static void value(StringBuilder out, Group group, int field, int index) {
        if (group.getFieldRepetitionCount(field) == 0) {
            out.append("null");
            return;
        }
        Type type = group.getType().getType(field);
        if (type.isPrimitive()) {
            scalar(out, group, field, index, type.asPrimitiveType());
            return;
        }
        Group nested = group.getGroup(field, index);
        if (type.getLogicalTypeAnnotation() == null) {
            object(out, nested);
            return;
        }
        boolean map = type.getLogicalTypeAnnotation() instanceof LogicalTypeAnnotation.MapLogicalTypeAnnotation;
        out.append('[');
        for (int i = 0; i < nested.getFieldRepetitionCount(0); i++) {
            Group element = nested.getGroup(0, i);
            out.append(i > 0 ? "," : "").append(map ? "[" : "");
            value(out, element, 0, 0);
            if (map) {
                out.append(',');
                value(out, element, 1, 0);
                out.append(']');
            }
        }
        out.append(']');
    }

    private static void scalar(StringBuilder out, Group group, int field, int index, PrimitiveType type) {
        LogicalTypeAnnotation logical = type.getLogicalTypeAnnotation();
        if (logical instanceof LogicalTypeAnnotation.DecimalLogicalTypeAnnotation) {
            BigInteger unscaled;
            switch (type.getPrimitiveTypeName()) {
                case INT32: unscaled = BigInteger.valueOf(group.getInteger(field, index)); break;
                case INT64: unscaled = BigInteger.valueOf(group.getLong(field, index)); break;
                default: unscaled = new BigInteger(group.getBinary(field, index).getBytes());
            }
            int scale = ((LogicalTypeAnnotation.DecimalLogicalTypeAnnotation) logical).getScale();
            out.append('"').append(new BigDecimal(unscaled, scale).toPlainString()).append('"');
            return;
        }
        switch (type.getPrimitiveTypeName()) {
            case BOOLEAN: out.append(group.getBoolean(field, index)); break;
            case INT32: out.append(group.getInteger(field, index)); break;
            case FLOAT: out.append((double) group.getFloat(field, index)); break;
            case DOUBLE: out.append(group.getDouble(field, index)); break;
            case INT64:
                boolean millis = logical instanceof LogicalTypeAnnotation.TimestampLogicalTypeAnnotation
                        && ((LogicalTypeAnnotation.TimestampLogicalTypeAnnotation) logical).getUnit() == LogicalTypeAnnotation.TimeUnit.MILLIS;
                out.append(Math.multiplyExact(group.getLong(field, index), millis ? 1000L : 1L));
                break;
            default: text(out, group.getBinary(field, index).toStringUsingUTF8());
        }
    }

    private static void text(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c < ' ' || c == '"' || c == '\\') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    // ---- what the file says of its values

    private static FilterCompat.Filter filter;

    private static int[] checkColumns() throws Exception {
        int[] checked = new int[3];
        try (ParquetFileReader reader = open(null)) {
            MessageType schema = reader.getFileMetaData().getSchema();
            for (BlockMetaData block : reader.getFooter().getBlocks()) {
                PageReadStore pages = reader.readNextRowGroup();
                require(pages.getRowCount() == block.getRowCount(), "row group of %d rows has %d", block.getRowCount(), pages.getRowCount());
                ColumnReadStoreImpl columns = new ColumnReadStoreImpl(
                        pages, new GroupRecordConverter(schema).getRootConverter(), schema, reader.getFileMetaData().getCreatedBy());
                for (int i = 0; i < schema.getColumns().size(); i++) {
                    checkChunk(reader, block, block.getColumns().get(i), columns.getColumnReader(schema.getColumns().get(i)), checked);
                }
            }
        }
        return checked;
    }

    /** One page of the indexes with what was seen of it. */
    private static class Seen {
        Object min, max;
        long nulls;

        @SuppressWarnings({"unchecked", "rawtypes"})
        void add(Object value, Comparator order) {
            if (value == null) {
                nulls++;
                return;
            }
            min = min == null || order.compare(value, min) < 0 ? value : min;
            max = max == null || order.compare(value, max) > 0 ? value : max;
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void checkChunk(ParquetFileReader reader, BlockMetaData block, ColumnChunkMetaData meta, ColumnReader column, int[] checked)
            throws Exception {
        ColumnDescriptor descriptor = column.getDescriptor();
        String name = String.join(".", descriptor.getPath());
        PrimitiveType type = descriptor.getPrimitiveType();
        Comparator order = type.comparator();
        ColumnIndex bounds = reader.readColumnIndex(meta);
        OffsetIndex offsets = reader.readOffsetIndex(meta);
        require(bounds != null && offsets != null, "%s: no page index", name);
        int count = offsets.getPageCount();
        require(bounds.getNullPages().size() == count, "%s: %d pages of bounds, %d of offsets", name, bounds.getNullPages().size(), count);
        BloomFilter bloom = reader.readBloomFilter(meta);

        Seen whole = new Seen();
        Seen[] seen = new Seen[count];
        int page = -1;
        long row = -1;
        Object zero = null;
        require(column.getTotalValueCount() == meta.getValueCount(), "%s: number of values", name);
        for (long i = 0; i < meta.getValueCount(); i++) {
            if (column.getCurrentRepetitionLevel() == 0) {
                row++;
                if (page + 1 < count && offsets.getFirstRowIndex(page + 1) == row) {
                    seen[++page] = new Seen();
                }
            }
            Object value = column.getCurrentDefinitionLevel() == descriptor.getMaxDefinitionLevel() ? read(column, type) : null;
            if (value != null && bloom != null) {
                require(bloom.findHash(hash(bloom, value)), "%s row %d: not in the Bloom filter", name, row);
                if (otherZero(value) != null) {
                    require(bloom.findHash(hash(bloom, otherZero(value))), "%s row %d: the other zero is not in the Bloom filter", name, row);
                }
            }
            zero = otherZero(value) == null ? zero : value;
            whole.add(value, order);
            seen[page].add(value, order);
            column.consume();
        }
        require(row + 1 == block.getRowCount(), "%s: %d rows of %d", name, row + 1, block.getRowCount());
        require(page + 1 == count, "%s: %d pages of %d", name, page + 1, count);
        checked[0] += count;
        checked[1] += bloom == null ? 0 : 1;

        Statistics stats = meta.getStatistics();
        require(stats.getNumNulls() == whole.nulls, "%s: %d nulls, statistics say %d", name, whole.nulls, stats.getNumNulls());
        require(stats.hasNonNullValue() == (whole.min != null), "%s: statistics have no bounds", name);
        if (whole.min != null) {
            holds(name, type, order, stats.genericGetMin(), stats.genericGetMax(), whole);
        }
        for (int p = 0; p < count; p++) {
            require(bounds.getNullPages().get(p) == (seen[p].min == null), "%s page %d: null page", name, p);
            require(bounds.getNullCounts().get(p) == seen[p].nulls, "%s page %d: null count", name, p);
            if (seen[p].min != null) {
                holds(name + " page " + p, type, order, decode(type, bounds.getMinValues().get(p)), decode(type, bounds.getMaxValues().get(p)), seen[p]);
            }
        }
        checkOrder(name, bounds, seen, order);
        // The names of a filter's columns are parted by dots. Each look-up opens the file, so the first row groups will do.
        if (whole.min != null && block.getOrdinal() < 2 && descriptor.getMaxRepetitionLevel() == 0 && !descriptor.getPath()[0].contains(".")) {
            lookUp(name, whole.min);
            lookUp(name, whole.max);
            checked[2] += 2;
            if (zero != null) {
                keeps(name, zero);
                keeps(name, otherZero(zero));
                checked[2] += 2;
            }
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void checkOrder(String name, ColumnIndex bounds, Seen[] seen, Comparator order) {
        Seen last = null;
        for (Seen s : seen) {
            if (s.min == null) {
                continue;
            }
            if (last != null) {
                int low = order.compare(last.min, s.min), high = order.compare(last.max, s.max);
                require(bounds.getBoundaryOrder() != BoundaryOrder.ASCENDING || low <= 0 && high <= 0, "%s: pages do not ascend", name);
                require(bounds.getBoundaryOrder() != BoundaryOrder.DESCENDING || low >= 0 && high >= 0, "%s: pages do not descend", name);
            }
            last = s;
        }
    }

    /** Bounds must enclose the values. They are the values themselves but for long text and for zeros of either sign. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void holds(String name, PrimitiveType type, Comparator order, Object min, Object max, Seen seen) {
        require(order.compare(min, seen.min) <= 0 && order.compare(max, seen.max) >= 0, "%s: bounds %s and %s do not hold", name, min, max);
        if (type.getPrimitiveTypeName() == PrimitiveTypeName.BINARY && (length(seen.min) > 64 || length(seen.max) > 64)) {
            return;
        }
        require(same(min, seen.min) && same(max, seen.max), "%s: bounds %s and %s are not exact", name, min, max);
    }

    private static int length(Object value) { return ((Binary) value).length(); }

    private static boolean same(Object bound, Object value) {
        if (value instanceof Float || value instanceof Double) {
            return ((Number) bound).doubleValue() == ((Number) value).doubleValue();
        }
        return bound.equals(value);
    }

    private static Object read(ColumnReader column, PrimitiveType type) {
        switch (type.getPrimitiveTypeName()) {
            case BOOLEAN: return column.getBoolean();
            case INT32: return column.getInteger();
            case INT64: return column.getLong();
            case FLOAT: return column.getFloat();
            case DOUBLE: return column.getDouble();
            default: return column.getBinary().copy();
        }
    }

    private static Object decode(PrimitiveType type, ByteBuffer bytes) {
        ByteBuffer b = bytes.duplicate().order(java.nio.ByteOrder.LITTLE_ENDIAN);
        switch (type.getPrimitiveTypeName()) {
            case BOOLEAN: return b.get() != 0;
            case INT32: return b.getInt();
            case INT64: return b.getLong();
            case FLOAT: return b.getFloat();
            case DOUBLE: return b.getDouble();
            default: return Binary.fromReusedByteBuffer(b).copy();
        }
    }

    private static long hash(BloomFilter bloom, Object value) {
        if (value instanceof Integer) {
            return bloom.hash((int) value);
        }
        if (value instanceof Long) {
            return bloom.hash((long) value);
        }
        if (value instanceof Float) {
            return bloom.hash((float) value);
        }
        return value instanceof Double ? bloom.hash((double) value) : bloom.hash((Binary) value);
    }

    /** Statistics, dictionaries, page indexes and Bloom filters together must lead to a row with the value. */
    private static void lookUp(String name, Object value) throws Exception {
        FilterPredicate predicate = equal(name, value);
        filter = FilterCompat.get(predicate);
        try (ParquetFileReader reader = open(predicate)) {
            for (PageReadStore pages; (pages = reader.readNextFilteredRowGroup()) != null; ) {
                RecordReader<Group> records = records(reader, pages, true);
                for (long i = 0; i < pages.getRowCount(); i++) {
                    if (records.read() != null && !records.shouldSkipCurrentRecord()) {
                        return;
                    }
                }
            }
        }
        require(false, "%s: a value that is there is not found", name);
    }

    /** The zero of the other sign, which SQL takes for equal; null for any other value. */
    private static Object otherZero(Object value) {
        if (value instanceof Float && (float) value == 0) {
            return -(float) value;
        }
        return value instanceof Double && (double) value == 0 ? (Object) (-(double) value) : null;
    }

    /** An engine that looks for a value must come to see rows: it compares them by itself. */
    private static void keeps(String name, Object value) throws Exception {
        FilterPredicate predicate = equal(name, value);
        filter = FilterCompat.get(predicate);
        try (ParquetFileReader reader = open(predicate)) {
            require(reader.readNextFilteredRowGroup() != null, "%s: rows are passed over for %s", name, value);
        }
    }

    private static FilterPredicate equal(String name, Object value) {
        if (value instanceof Boolean) {
            return FilterApi.eq(FilterApi.booleanColumn(name), (Boolean) value);
        }
        if (value instanceof Integer) {
            return FilterApi.eq(FilterApi.intColumn(name), (Integer) value);
        }
        if (value instanceof Long) {
            return FilterApi.eq(FilterApi.longColumn(name), (Long) value);
        }
        if (value instanceof Float) {
            return FilterApi.eq(FilterApi.floatColumn(name), (Float) value);
        }
        if (value instanceof Double) {
            return FilterApi.eq(FilterApi.doubleColumn(name), (Double) value);
        }
        return FilterApi.eq(FilterApi.binaryColumn(name), (Binary) value);
    }
}
