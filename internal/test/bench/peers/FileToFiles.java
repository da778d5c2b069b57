import org.apache.spark.sql.SparkSession;

/** Converts a file of JSON lines to Parquet files with Spark, within this process. Arguments: source, target, columns. */
public class FileToFiles {
    public static void main(String[] args) {
        SparkSession spark = SparkSession.builder().master("local[1]").getOrCreate();
        spark.read().schema(args[2]).json(args[0]).write().parquet(args[1]);
        spark.stop();
    }
}
