import java.util.Map;
import java.util.StringJoiner;
import org.apache.iceberg.Table;
import org.apache.iceberg.aws.s3.S3FileIO;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Types;

/**
 * Reads a table with Iceberg Java's own reader and writes one line per row: the columns in their order, as name=value, separated
 * by tabs. Arguments: URL of the REST catalog, endpoint, region, access key and secret key of S3, namespace.table.
 */
public class ReadTable {
    public static void main(String[] args) throws Exception {
        try (RESTCatalog catalog = new RESTCatalog()) {
            catalog.initialize("lake", Map.of(
                    "uri", args[0],
                    "io-impl", S3FileIO.class.getName(),
                    "s3.endpoint", args[1],
                    "s3.path-style-access", "true",
                    "client.region", args[2],
                    "s3.access-key-id", args[3],
                    "s3.secret-access-key", args[4]));
            Table table = catalog.loadTable(TableIdentifier.parse(args[5]));
            try (CloseableIterable<Record> rows = IcebergGenerics.read(table).build()) {
                for (Record row : rows) {
                    StringJoiner line = new StringJoiner("\t");
                    for (Types.NestedField column : table.schema().columns()) {
                        line.add(column.name() + "=" + row.getField(column.name()));
                    }
                    System.out.println(line);
                }
            }
        }
    }
}
