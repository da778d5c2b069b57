import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.iceberg.aws.s3.S3FileIO;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/**
 * Serves Iceberg's REST catalog on the loopback address, with tables' pointers in a SQLite file and their metadata in S3.
 * Arguments: port, SQLite file, warehouse, endpoint, region, access key and secret key of S3.
 */
public class RestCatalog {
    public static void main(String[] args) throws Exception {
        JdbcCatalog catalog = new JdbcCatalog();
        catalog.initialize("local", Map.of(
                "uri", "jdbc:sqlite:" + args[1] + "?synchronous=OFF&busy_timeout=30000",
                "clients", "1", // SQLite has one writer
                "warehouse", args[2],
                "io-impl", S3FileIO.class.getName(),
                "s3.endpoint", args[3],
                "s3.path-style-access", "true",
                "client.region", args[4],
                "s3.access-key-id", args[5],
                "s3.secret-access-key", args[6]));
        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
        Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
        server.setHandler(context);
        server.start();
        server.join();
    }
}
