package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// maxDSN bounds the file of a connection string, in bytes.
const maxDSN = 64 << 10

// readDSN reads the file of POSTGRES_DSN_FILE.
func readDSN(path string) (dsn, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, named("POSTGRES_DSN_FILE", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxDSN))
	if err != nil {
		return nil, named("POSTGRES_DSN_FILE", err)
	}
	d, err := parseDSN(string(text))
	if err == nil && len(d) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("POSTGRES_DSN_FILE=%q: %w", path, err)
	}
	return d, nil
}

// secretAge is how long a secret is kept. After a rotation the old password usually fails, and the secret is read again at once.
const secretAge = 5 * time.Minute

// secret is the secret of POSTGRES_SECRET.
type secret struct {
	arn string
	api interface {
		GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	}

	mu   sync.Mutex
	kept string
	at   time.Time
}

// read returns what the secret says; again means without what is kept of it.
func (s *secret) read(ctx context.Context, again bool) (dsn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if again || s.kept == "" || time.Since(s.at) > secretAge {
		v, err := s.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.arn})
		if err != nil {
			return nil, fmt.Errorf("POSTGRES_SECRET: read the secret, for which the role needs secretsmanager:GetSecretValue, and kms:Decrypt for a key of your own: %w", err)
		}
		if v.SecretString == nil {
			return nil, errors.New("POSTGRES_SECRET: the secret is binary: want JSON with username and password, or a connection string")
		}
		s.kept, s.at = *v.SecretString, time.Now()
	}
	d, err := parseSecret(s.kept)
	return d, named("POSTGRES_SECRET", err)
}

// rdsSecret is a secret as Amazon RDS keeps it (AWS Secrets Manager User Guide, "JSON structure of AWS Secrets Manager secrets").
type rdsSecret struct {
	Engine   string `json:"engine"`
	Host     string `json:"host"`
	Port     any    `json:"port"` // a number or a string
	Username string `json:"username"`
	Password string `json:"password"`
	DBName   string `json:"dbname"`
}

// parseSecret parses JSON or a connection string. Its errors repeat nothing of the text.
func parseSecret(text string) (dsn, error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return parseDSN(text)
	}
	var s rdsSecret
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&s); err != nil {
		return nil, errors.New("the secret is not valid JSON with username and password as strings")
	}
	if s.Engine != "" && !slices.Contains([]string{"postgres", "aurora-postgresql"}, s.Engine) {
		return nil, fmt.Errorf("the secret is for the engine %q: want postgres or aurora-postgresql", s.Engine)
	}
	d := dsn{}
	for key, value := range map[string]string{"user": s.Username, "password": s.Password, "host": s.Host, "dbname": s.DBName} {
		if value != "" {
			d[key] = value
		}
	}
	if s.Port != nil {
		d["port"] = fmt.Sprint(s.Port)
	}
	return d, d.check()
}

// The host names of Amazon RDS end with their region (Amazon RDS User Guide, "Finding the connection information for an Amazon RDS
// DB instance").
var rdsHost = regexp.MustCompile(`\.([a-z0-9-]+)\.rds\.amazonaws\.com(\.cn)?$`)

// token returns a token of Amazon RDS, which takes the place of a password for a quarter of an hour.
func (c *Connector) token(ctx context.Context, s server, user string) (string, error) {
	region := c.reach.Account.Region
	if m := rdsHost.FindStringSubmatch(s.host); m != nil {
		region = m[1]
	}
	if region == "" {
		return "", errors.New("POSTGRES_AUTH=iam: AWS_REGION is not set")
	}
	token, err := auth.BuildAuthToken(ctx, s.String(), region, user, c.reach.Account.Credentials)
	if err != nil {
		return "", fmt.Errorf("POSTGRES_AUTH=iam: sign a token for the database: %w", err)
	}
	return token, nil
}
