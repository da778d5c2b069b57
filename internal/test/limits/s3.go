package limits

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// Limits of S3: "Amazon S3 multipart upload limits" and "Creating object key names" in the Amazon S3 User Guide, and the
// descriptions of the operations and the "Error responses" in the API reference.
const (
	maxKey          = 1024    // "Creating object key names": bytes of UTF-8
	maxMetadata     = 2 << 10 // "Working with object metadata": user-defined, names and values
	maxHeader       = 8 << 10 // "Working with object metadata": the whole header of a PUT request
	maxPartNumber   = 10_000  // "Amazon S3 multipart upload limits"
	minPartBytes    = 5 << 20 // the same; the last part has no minimum
	maxPartBytes    = 5 << 30 // the same
	maxPutObject    = 5 << 30 // PutObject: an upload in a single operation
	maxObjectBytes  = 5 << 40 // what this pipeline's documentation promises to respect; S3 has raised its own limit since
	metadataHeader  = "X-Amz-Meta-"
	checksumHeader  = "X-Amz-Checksum-"
	algorithmHeader = "X-Amz-Checksum-Algorithm"
)

// The operations of S3 that the rules cover.
const (
	createUpload   = "CreateMultipartUpload"
	uploadPart     = "UploadPart"
	completeUpload = "CompleteMultipartUpload"
	abortUpload    = "AbortMultipartUpload"
	putObject      = "PutObject"
)

// S3Operation returns the operation of a path-style request, which has no name on the wire (Amazon S3 API reference). It knows the
// operations that the daemon uses; for others it returns the method.
func S3Operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return createUpload
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return uploadPart
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return completeUpload
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return abortUpload
	case r.Method == http.MethodGet && q.Has("uploadId"):
		return "ListParts"
	case r.Method == http.MethodPut && key(r) != "":
		return putObject
	case r.Method == http.MethodHead && key(r) == "":
		return "HeadBucket"
	case r.Method == http.MethodHead:
		return "HeadObject"
	}
	return r.Method
}

// key returns the key of a path-style request.
func key(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return key
}

type s3Rules struct {
	uploads map[string]*multipart // by path and id
}

// multipart is an incomplete upload.
type multipart struct {
	algorithm string // of the checksums, in lower case; empty without
	parts     map[int]part
}

type part struct {
	bytes    int64
	checksum string
}

func newS3Rules() *s3Rules { return &s3Rules{uploads: map[string]*multipart{}} }

func (s *s3Rules) upload(r *http.Request) *multipart {
	return s.uploads[r.URL.Path+"?"+r.URL.Query().Get("uploadId")]
}

func (s *s3Rules) check(c *call) *refusal {
	if n := len(key(c.Request)); n > maxKey {
		return refuse("key length", "KeyTooLongError", "Your key is too long: %d bytes, at most %d are allowed", n, maxKey)
	}
	if c.operation == putObject || c.operation == createUpload {
		if r := header(c.Header); r != nil {
			return r
		}
	}
	switch c.operation {
	case putObject:
		if n := size(c.Request); n > maxPutObject {
			return refuse("object size in one request", "EntityTooLarge", "Your proposed upload of %d bytes exceeds the maximum allowed size of %d", n, int64(maxPutObject))
		}
	case uploadPart:
		return s.checkPart(c)
	case completeUpload:
		return s.checkComplete(c)
	}
	return nil
}

func header(h http.Header) *refusal {
	all, metadata := 0, 0
	for name, values := range h {
		for _, value := range values {
			all += len(name) + len(value)
			if meta, ok := strings.CutPrefix(name, metadataHeader); ok {
				metadata += len(meta) + len(value)
			}
		}
	}
	if metadata > maxMetadata {
		return refuse("metadata size", "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size: %d bytes, at most %d", metadata, maxMetadata)
	}
	if all > maxHeader {
		return refuse("header size", "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed size: %d bytes, at most %d", all, maxHeader)
	}
	return nil
}

// size returns the size of the object in a request; with aws-chunked the body is larger.
func size(r *http.Request) int64 {
	if decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
		return decoded
	}
	return r.ContentLength
}

func (s *s3Rules) checkPart(c *call) *refusal {
	number, err := strconv.Atoi(c.URL.Query().Get("partNumber"))
	if err != nil || number < 1 || number > maxPartNumber {
		return refuse("part number", "InvalidArgument", "Part number must be an integer between 1 and %d, inclusive", maxPartNumber)
	}
	if n := size(c.Request); n > maxPartBytes {
		return refuse("part size", "EntityTooLarge", "Your proposed part of %d bytes exceeds the maximum allowed size of %d", n, int64(maxPartBytes))
	}
	u := s.upload(c.Request)
	if u == nil || u.algorithm == "" || c.Header.Get(checksumHeader+u.algorithm) != "" ||
		strings.EqualFold(c.Header.Get("X-Amz-Trailer"), checksumHeader+u.algorithm) {
		return nil
	}
	return refuse("part checksum", "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: null", u.algorithm)
}

// completion is the document of a CompleteMultipartUpload.
type completion struct {
	Parts []struct {
		PartNumber                                                                     int
		ETag                                                                           string
		ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 string
	} `xml:"Part"`
}

func (s *s3Rules) checkComplete(c *call) *refusal {
	var in completion
	if err := xml.Unmarshal(c.body, &in); err != nil {
		return nil // for the service to refuse
	}
	if n := len(in.Parts); n == 0 || n > maxPartNumber {
		return refuse("parts of an upload", "MalformedXML", "The document has %d parts: want 1 to %d", n, maxPartNumber)
	}
	u := s.upload(c.Request)
	var total int64
	for i, p := range in.Parts {
		if i > 0 && p.PartNumber <= in.Parts[i-1].PartNumber {
			return refuse("order of parts", "InvalidPartOrder", "The list of parts was not in ascending order: part %d after %d", p.PartNumber, in.Parts[i-1].PartNumber)
		}
		if u == nil {
			continue
		}
		sent := map[string]string{
			"crc32": p.ChecksumCRC32, "crc32c": p.ChecksumCRC32C, "crc64nvme": p.ChecksumCRC64NVME, "sha1": p.ChecksumSHA1, "sha256": p.ChecksumSHA256,
		}[u.algorithm]
		if u.algorithm != "" && sent == "" {
			return refuse("checksums in Complete", "InvalidRequest",
				"The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
				u.algorithm, p.PartNumber)
		}
		stored, known := u.parts[p.PartNumber]
		if !known {
			continue // for the service to refuse
		}
		if stored.checksum != "" && sent != "" && sent != stored.checksum {
			return refuse("checksums in Complete", "InvalidPart", "The checksum of part %d is not that of the part that was uploaded", p.PartNumber)
		}
		if i < len(in.Parts)-1 && stored.bytes < minPartBytes {
			return refuse("smallest part", "EntityTooSmall", "Part %d has %d bytes, at least %d are required", p.PartNumber, stored.bytes, minPartBytes)
		}
		total += stored.bytes
	}
	if total > maxObjectBytes {
		return refuse("object size", "EntityTooLarge", "Your proposed upload of %d bytes exceeds the maximum allowed size of %d", total, int64(maxObjectBytes))
	}
	return nil
}

func (s *s3Rules) wants(c *call) bool { return c.operation == createUpload }

func (s *s3Rules) learn(c *call, out object) {
	switch c.operation {
	case createUpload:
		u := &multipart{algorithm: strings.ToLower(c.Header.Get(algorithmHeader)), parts: map[int]part{}}
		if strings.EqualFold(c.Header.Get("X-Amz-Checksum-Type"), "FULL_OBJECT") {
			u.algorithm = "" // the parts' checksums are optional then (CreateMultipartUpload)
		}
		s.uploads[c.URL.Path+"?"+out.text("UploadId")] = u
	case uploadPart:
		number, err := strconv.Atoi(c.URL.Query().Get("partNumber"))
		if u, n := s.upload(c.Request), size(c.Request); u != nil && err == nil && n >= 0 {
			u.parts[number] = part{bytes: n, checksum: c.Header.Get(checksumHeader + u.algorithm)}
		}
	case abortUpload:
		delete(s.uploads, c.URL.Path+"?"+c.URL.Query().Get("uploadId"))
	}
}

// decodeXML reads the values of a flat document.
func decodeXML(content []byte) object {
	var in struct {
		Fields []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	if xml.Unmarshal(content, &in) != nil {
		return nil
	}
	out := object{}
	for _, f := range in.Fields {
		out[f.XMLName.Local] = f.Text
	}
	return out
}
