package iam

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// maxRequest bounds a request's body in memory; the largest are parts.
const maxRequest = 64 << 20

// Guard passes requests that a policy allows on to a service, and refuses all others as AWS does. It is safe for
// concurrent use.
type Guard struct {
	Service Service
	Backend *url.URL
	Site    Site
	// Policy returns the policy in force. It is called for each request.
	Policy func() Policy
	// Saw is called for every request with what it needs and whether that was allowed. It may be nil.
	Saw func(needs []Need, allowed bool)
}

// ServeHTTP implements http.Handler.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return // the sender has gone in the middle of it
	}
	needs, err := g.Site.Needs(g.Service, r, body)
	policy := g.Policy()
	if err != nil {
		needs = []Need{{Action: "unknown: " + err.Error(), Resource: r.URL.Path}}
	}
	for _, n := range needs {
		if !policy.Allows(n) {
			g.saw(needs, false)
			refuse(w, g.Service, n)
			return
		}
	}
	g.saw(needs, true)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	proxy := httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(g.Backend); p.Out.Host = p.In.Host },
		FlushInterval: -1, // records that are pushed come one by one
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ModifyResponse: func(a *http.Response) error {
			if missing := a.StatusCode == http.StatusNotFound && g.Service == S3 && needs[0].Action == "s3:GetObject"; missing {
				return g.hide(policy, a)
			}
			return nil
		},
	}
	proxy.ServeHTTP(w, r)
}

func (g *Guard) saw(needs []Need, allowed bool) {
	if g.Saw != nil {
		g.Saw(needs, allowed)
	}
}

// hide turns a response that an object is missing into a refusal if the policy does not allow listing the bucket (Amazon S3
// API Reference, HeadObject, "Permissions").
func (g *Guard) hide(policy Policy, a *http.Response) error {
	list, err := g.Site.Needs(S3, &http.Request{Method: http.MethodHead, URL: &url.URL{Path: bucketPath(a.Request.URL.Path)}}, nil)
	if err != nil {
		return err
	}
	g.saw(list, policy.Allows(list[0]))
	if policy.Allows(list[0]) {
		return nil
	}
	a.Body.Close()
	a.StatusCode, a.Status = http.StatusForbidden, ""
	a.Header = http.Header{}
	a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(nil)), 0
	return nil
}

// bucketPath returns the bucket's part of an object's path.
func bucketPath(path string) string {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return path
}

// refuse responds as the service does when a need is not allowed.
func refuse(w http.ResponseWriter, service Service, n Need) {
	message := fmt.Sprintf("the policy does not allow %s", n)
	if service == S3 {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, xml.Header+"<Error><Code>AccessDenied</Code><Message>")
		xml.EscapeText(w, []byte(message))
		fmt.Fprint(w, "</Message></Error>")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"__type":"AccessDeniedException","message":%q}`, message)
}
