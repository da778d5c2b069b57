// Prints, for each case of patterns.json, which of its texts JavaScript matches.
const cases = JSON.parse(require("fs").readFileSync(process.argv[2], "utf8"));
const answer = cases.map((c) => {
  if (c.refused) return {};
  const expression = new RegExp(c.pattern, c.node ? "" : "u");
  return { matches: c.matches.map((s) => expression.test(s)), others: c.others.map((s) => expression.test(s)) };
});
process.stdout.write(JSON.stringify(answer));
