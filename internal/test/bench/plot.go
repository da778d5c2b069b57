package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Measures of the plot in pixels.
const (
	plotWidth  = 860
	plotLeft   = 300 // where bars begin
	plotRight  = 60  // room for the number after the longest
	plotTop    = 84
	barHeight  = 20
	barGap     = 5
	groupGap   = 26
	axisHeight = 40
)

// colour is the class of a bar: the daemon's, that of programs that do the same work, or of those that start from a file.
func colour(program string) string {
	switch {
	case program == daemon:
		return "ours"
	case fromFile(program) == 1:
		return "file"
	}
	return "same"
}

// plot draws the results as bars, one group per set and format.
func plot(results []result) string {
	longest := 0.0
	groups := 0
	last := ""
	for _, r := range results {
		longest = max(longest, r.rate())
		if g := r.Set + r.Format; g != last {
			groups, last = groups+1, g
		}
	}
	step := tick(longest)
	full := math.Ceil(longest/step) * step
	scale := float64(plotWidth-plotLeft-plotRight) / full
	bottom := plotTop + groups*groupGap + len(results)*(barHeight+barGap)

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n", plotWidth, bottom+axisHeight)
	b.WriteString(plotStyle + `<rect class="paper" width="100%" height="100%" rx="8"/>` + "\n")
	text := func(x, y int, anchor, more, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
	}
	text(16, 24, "start", ` font-size="16" font-weight="bold"`, "Megabytes of records for each CPU second, stream to published file")
	text(16, 43, "start", ` fill-opacity="0.7"`, "on one core; longer is better")
	for i, key := range []struct{ class, text string }{{"ours", "the daemon"}, {"same", "the same work: stream to bucket, over TLS"}, {"file", "spared the network: file to file"}} {
		x := []int{16, 130, 450}[i]
		fmt.Fprintf(&b, `<rect x="%d" y="56" width="12" height="12" class="%s"/>`+"\n", x, key.class)
		text(x+18, 67, "start", "", key.text)
	}
	for v := 0.0; v <= full; v += step {
		x := plotLeft + int(v*scale)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", x, plotTop, x, bottom)
		text(x, bottom+18, "middle", "", fmt.Sprint(v))
	}
	y := plotTop
	last = ""
	for _, r := range results {
		if g := r.Set + r.Format; g != last {
			last = g
			text(16, y+18, "start", ` font-weight="bold"`, kind{r.Set, r.Format}.title())
			y += groupGap
		}
		width := int(r.rate() * scale)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" class="%s"/>`+"\n", plotLeft, y, width, barHeight, colour(r.Program))
		text(plotLeft-8, y+15, "end", "", shortTitle[r.Program])
		text(plotLeft+width+6, y+15, "start", "", fmt.Sprintf("%.0f", r.rate()))
		y += barHeight + barGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// plotStyle has the colours for light and dark pages.
const plotStyle = `<style>
.paper { fill: #ffffff } text { fill: #1f2328 } .grid { stroke: #d0d7de }
.ours { fill: #1f6feb } .same { fill: #8c959f } .file { fill: #d4b45c }
@media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #3d4753 }
.ours { fill: #58a6ff } .same { fill: #768390 } .file { fill: #9e8035 } }
</style>
`

var shortTitle = map[string]string{
	daemon:  "the daemon",
	sdk:     "AWS SDK + goccy + parquet-go",
	library: "vmware-go-kcl-v2 + goccy + parquet-go",
	python:  "Python, json.loads + json.dumps",
	flink:   "Apache Flink",
	spark:   "Apache Spark",
	polars:  "Polars",
	duckdb:  "DuckDB",
	limit:   "receiving and uploading alone",
}

// tick returns a round step that gives four to ten lines.
func tick(longest float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(longest)))
	for longest/step < 4 {
		step /= 2
	}
	return step
}
