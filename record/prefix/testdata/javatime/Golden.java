import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Prints what DateTimeFormatter makes of a table of patterns, instants and zones, one line each: pattern, zone, instant,
 * text, separated by tabs. The text of a pattern that Java refuses is "!refused". Run by hand with Java 17:
 *
 *   java Golden.java > golden.tsv
 */
class Golden {
    static final String[] ZONES = {
        "UTC", "Europe/Lisbon", "Asia/Kathmandu", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia",
    };

    static final String[] INSTANTS = {
        "1900-01-01T12:34:56Z", // local mean time in most zones, an offset with seconds
        "2000-02-29T23:59:59.999999999Z",
        "2014-08-14T00:00:00Z",
        "2018-07-06T23:05:09.001Z",
        "2023-12-31T23:30:00Z",
        "2024-01-01T00:00:00Z",
        "2024-02-29T12:00:00.5Z",
        // Spring: New York 07:00Z on 10 March, Lisbon 01:00Z on 31 March, Lord Howe on 6 October.
        "2024-03-10T06:59:59.999Z", "2024-03-10T07:00:00Z",
        "2024-03-31T00:59:59Z", "2024-03-31T01:00:00Z",
        "2024-10-05T15:29:59Z", "2024-10-05T15:30:00Z",
        // Autumn: Lisbon 01:00Z on 27 October, New York 06:00Z on 3 November.
        "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z",
        "2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z",
        "2024-12-30T18:15:00.123456789Z",
        "2026-09-09T16:04:05.006007008Z",
        "9999-12-31T12:00:00Z",
    };

    static List<String> patterns() {
        List<String> all = new ArrayList<>(List.of(
            "yyyy/MM/dd/HH", "yyyy/MM/dd/HH/", "yyyy-MM-dd", "'year='yyyy'/month='MM'/day='dd'/hour='HH", "yyyyMMddHHmmss",
            "EEE, d MMM yyyy hh:mm a", "''", "'it''s' yyyy", "'a''''b'", "yyyy'/'MM", "[yyyy][/MM[/dd]]", "[yyyy", "yyyy]", "[[yyyy]",
            "yyyy_MM.dd~HH!mm(ss)", "uuuu-DDD", "H:m:s", "k:K:h", "QQQ-yyyy", "'", "'open", "y{", "y}", "y#", "", "ä-yyyy",
            "yyyy-MM-dd'T'HH:mm:ss.SSSX", "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSSxxx", "VV", "V", "VVV", "O", "OO", "OOO", "OOOO", "OOOOO"));
        for (char letter = 'A'; letter <= 'z'; letter++) {
            if (Character.isLetter(letter) && "YwWecFBgzvpVO".indexOf(letter) < 0) {
                int most = "yu".indexOf(letter) >= 0 ? 6 : "SnAN".indexOf(letter) >= 0 ? 10 : 6;
                for (int count = 1; count <= most; count++) {
                    all.add(String.valueOf(letter).repeat(count));
                }
            }
        }
        all.addAll(List.of("n".repeat(19), "A".repeat(19), "N".repeat(19), "u".repeat(19), "y".repeat(19)));
        return all;
    }

    /** A letter alone that has nothing to do with zones needs few of them. */
    static List<String> zones(String pattern) {
        boolean alone = !pattern.isEmpty() && pattern.chars().allMatch(c -> c == pattern.charAt(0));
        return alone && "OXxZVH".indexOf(pattern.charAt(0)) < 0 ? List.of("UTC", "America/St_Johns") : List.of(ZONES);
    }

    public static void main(String[] args) {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String pattern : patterns()) {
            DateTimeFormatter formatter;
            try {
                formatter = DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH);
            } catch (IllegalArgumentException e) {
                out.print(pattern + "\tUTC\t" + INSTANTS[0] + "\t!refused\n");
                continue;
            }
            for (String zone : zones(pattern)) {
                for (String instant : INSTANTS) {
                    out.print(pattern + "\t" + zone + "\t" + instant + "\t" + formatter.format(Instant.parse(instant).atZone(ZoneId.of(zone))) + "\n");
                }
            }
        }
        out.flush();
    }
}
