package simulate

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot draws lines over two axes, as SVG.
type plot struct {
	title, subtitle string
	across          string // what the horizontal axis shows
	logarithmic     bool   // the vertical axis; it ends at 1
	lines           []line
	bound           float64 // a dashed line across; 0 for none
}

type line struct {
	name, colour string
	points       []point
}

type point struct{ x, y float64 }

const (
	colourBefore = "#8c959f"
	colourNow    = "#1f6feb"
)

// Measures of a plot in pixels.
const (
	plotWidth, plotHeight = 860, 380
	plotLeft, plotRight   = 70, 30
	plotTop, plotBottom   = 90, 330
)

// plotStyle has the colours for light and dark pages.
const plotStyle = `<style>
.paper { fill: #ffffff } text { fill: #1f2328 } .grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #3d4753 } }
</style>
`

func (p plot) svg() string {
	right, top := 0.0, p.bound
	for _, l := range p.lines {
		for _, at := range l.points {
			right, top = max(right, at.x), max(top, at.y)
		}
	}
	stepX, stepY := tick(right), tick(top)
	top = math.Ceil(top/stepY) * stepY
	if p.logarithmic {
		top = math.Pow(10, math.Ceil(math.Log10(top)))
	}
	x := func(v float64) float64 { return plotLeft + v/right*(plotWidth-plotLeft-plotRight) }
	y := func(v float64) float64 {
		share := v / top
		if p.logarithmic {
			share = math.Log10(max(1, v)) / math.Log10(top)
		}
		return plotBottom - share*(plotBottom-plotTop)
	}

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	b.WriteString(plotStyle + `<rect class="paper" width="100%" height="100%" rx="8"/>` + "\n")
	text := func(x, y float64, anchor, more, s string) {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
	}
	text(16, 24, "start", ` font-size="16" font-weight="bold"`, p.title)
	text(16, 43, "start", ` fill-opacity="0.7"`, p.subtitle)
	text(plotWidth-plotRight, plotBottom+38, "end", ` fill-opacity="0.7"`, p.across)
	for v := 0.0; v <= right; v += stepX {
		text(x(v), plotBottom+18, "middle", "", fmt.Sprint(v))
	}
	for v := range levels(top, stepY, p.logarithmic) {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%.0f" x2="%d" y2="%.0f"/>`+"\n", plotLeft, y(v), plotWidth-plotRight, y(v))
		text(plotLeft-8, y(v)+4, "end", "", grouped(v))
	}
	if p.bound > 0 {
		fmt.Fprintf(&b, `<line class="grid" stroke-dasharray="5 4" stroke-width="2" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", plotLeft, y(p.bound), plotWidth-plotRight, y(p.bound))
	}
	legend := float64(plotLeft)
	for _, l := range p.lines {
		fmt.Fprintf(&b, `<rect x="%.0f" y="60" width="18" height="4" fill="%s"/>`+"\n", legend, l.colour)
		text(legend+24, 67, "start", "", l.name)
		legend += 60 + 7*float64(len(l.name))
		b.WriteString(`<polyline fill="none" stroke-width="2" stroke="` + l.colour + `" points="`)
		for _, at := range l.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(at.x), y(at.y))
		}
		b.WriteString(`"/>` + "\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// levels are the values at which the vertical axis has lines.
func levels(top, step float64, logarithmic bool) func(func(float64) bool) {
	return func(yield func(float64) bool) {
		for v := map[bool]float64{true: 1}[logarithmic]; v <= top && yield(v); {
			if logarithmic {
				v *= 10
			} else {
				v += step
			}
		}
	}
}

// tick returns a round step that gives four to ten lines.
func tick(longest float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(longest)))
	for longest/step < 4 {
		step /= 2
	}
	return step
}

// grouped writes a number with commas between thousands.
func grouped(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.4g", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
