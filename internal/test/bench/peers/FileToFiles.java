import java.lang.management.ManagementFactory;
import org.apache.spark.sql.SparkSession;

/**
 * Converts two files of JSON lines to Parquet files with Spark, within this process, one after the other. After the first it prints the
 * number of its rows and the nanoseconds of CPU time that the process has used.
 *
 * Arguments: columns, the number of rows of the first source, and twice a source and a target.
 */
public class FileToFiles {
    public static void main(String[] args) {
        SparkSession spark = SparkSession.builder().master("local[1]").getOrCreate();
        spark.read().schema(args[0]).json(args[2]).write().parquet(args[3]);
        var self = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.println("{\"rows\": " + args[1] + ", \"cpu\": " + self.getProcessCpuTime() + "}");
        spark.read().schema(args[0]).json(args[4]).write().parquet(args[5]);
        spark.stop();
    }
}
