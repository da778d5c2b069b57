import java.lang.management.ManagementFactory;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * Runs SQL statements in Flink, within this process, until the function counted() has seen the given number of rows. Then the job is
 * drained and stopped with a savepoint, so that its files are published. Once a quarter of the rows is seen, it prints their number and
 * the nanoseconds of CPU time that the process has used.
 *
 * Arguments: the number of rows, a folder for the savepoint, settings as one text of name=value separated by blanks, and the
 * statements, of which the last is an INSERT.
 */
public class StreamToFiles {
    /** counted() is true. It counts its calls. */
    public static class Counted extends ScalarFunction {
        static final AtomicLong CALLS = new AtomicLong();

        public boolean eval() {
            CALLS.lazySet(CALLS.getPlain() + 1); // one thread calls it
            return true;
        }

        @Override
        public boolean isDeterministic() {
            return false; // or it is called once, by the planner
        }
    }

    static void await(long rows) throws InterruptedException {
        while (Counted.CALLS.get() < rows) {
            Thread.sleep(10);
        }
    }

    public static void main(String[] args) throws Exception {
        long rows = Long.parseLong(args[0]);
        var settings = new Configuration();
        for (String setting : args[2].split(" ")) {
            String[] pair = setting.split("=", 2);
            settings.setString(pair[0], pair[1]);
        }
        FileSystem.initialize(settings, null);
        var tables = StreamTableEnvironment.create(StreamExecutionEnvironment.createLocalEnvironment(1, settings));
        tables.createTemporarySystemFunction("counted", Counted.class);
        JobClient job = null;
        for (int i = 3; i < args.length; i++) {
            job = tables.executeSql(args[i]).getJobClient().orElse(null);
        }
        job.getJobExecutionResult().whenComplete((result, failure) -> {
            if (failure != null) {
                failure.printStackTrace();
                System.exit(1);
            }
        });
        await(rows / 4);
        var self = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.println("{\"rows\": " + Counted.CALLS.get() + ", \"cpu\": " + self.getProcessCpuTime() + "}");
        await(rows);
        job.stopWithSavepoint(true, "file://" + args[1], SavepointFormatType.CANONICAL).get();
        job.getJobExecutionResult().get();
        System.exit(0);
    }
}
