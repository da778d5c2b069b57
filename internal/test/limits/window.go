package limits

import "time"

// window limits the number of calls in any second.
type window struct{ calls []time.Time }

// take reports whether a call is within the limit, and counts it if so.
func (w *window) take(now time.Time, most int) bool {
	for len(w.calls) > 0 && now.Sub(w.calls[0]) >= time.Second {
		w.calls = w.calls[1:]
	}
	if len(w.calls) >= most {
		return false
	}
	w.calls = append(w.calls, now)
	return true
}

// windows are windows by name.
type windows map[string]*window

func (w windows) take(name string, now time.Time, most int) bool {
	if w[name] == nil {
		w[name] = &window{}
	}
	return w[name].take(now, most)
}
