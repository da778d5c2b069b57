import io.airlift.compress.snappy.SnappyHadoopStreams;
import java.io.BufferedInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.xerial.snappy.SnappyFramedInputStream;
import org.xerial.snappy.SnappyInputStream;

/**
 * Opens Snappy files, which come in pairs of arguments with their readers, and writes the plain bytes of each beside it
 * under its name with ".plain".
 */
public class Unsnap {
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 2) {
            Path file = Path.of(args[i + 1]);
            try (InputStream in = open(args[i], new BufferedInputStream(Files.newInputStream(file)));
                    OutputStream out = Files.newOutputStream(Path.of(file + ".plain"))) {
                in.transferTo(out);
            }
        }
    }

    private static InputStream open(String reader, InputStream in) throws Exception {
        switch (reader) {
            case "snappy-java": return new SnappyInputStream(in);
            case "snappy-java framed": return new SnappyFramedInputStream(in, true); // checks the checksums
            case "aircompressor hadoop": return new SnappyHadoopStreams().createInputStream(in);
            case "aircompressor framed": return new io.airlift.compress.snappy.SnappyFramedInputStream(in, true);
            default: throw new IllegalArgumentException("no reader is called " + reader);
        }
    }
}
