package helm_test

import (
	"reflect"
	"testing"
)

// helm test first tries what the programs need: in a pod like theirs, with the same role, settings, secrets, limits and mounts. The pod
// takes no traffic and is none of the daemon's.
func TestValidate_RunsInAPodLikeTheDaemons(t *testing.T) {
	for name, sets := range map[string][]string{
		"the daemon": nil,
		"with its spool, a schema and more volumes": {"settings.spoolDir=/spool", "schema.existingConfigMap=trips", "settings.format=parquet", "extraVolumes[0].name=more", "extraVolumes[0].emptyDir.medium=Memory",
			"extraVolumeMounts[0].name=more", "extraVolumeMounts[0].mountPath=/more", "extraEnvFrom[0].secretRef.name=aws"},
		"with the loader": {`table.uri=glue://lake/trips\,postgres://db.example.com/lake/trips`, "table.tokenSecret=catalog", "settings.format=parquet", "postgres.existingSecret=db", "postgres.ca.configMap=rds"},
	} {
		t.Run(name, func(t *testing.T) {
			all := render(t, sets...)
			pod, daemon := all["Pod"], all["Deployment"]
			if at(t, pod, "metadata", "annotations", "helm.sh/hook") != "test" || at(t, pod, "metadata", "annotations", "helm.sh/hook-weight") != "-1" || at(t, pod, "spec", "restartPolicy") != "Never" {
				t.Errorf("the pod is not the first test: %v", pod["metadata"])
			}
			ours, theirs := containers(t, pod), containers(t, daemon)
			if len(ours) != len(theirs) {
				t.Fatalf("it has %d containers, the daemon's pod %d", len(ours), len(theirs))
			}
			for i, c := range ours {
				if want := []any{"validate"}; !reflect.DeepEqual(c["args"], want) {
					t.Errorf("%v has the arguments %v", c["name"], c["args"])
				}
				for _, part := range []string{"name", "image", "command", "env", "envFrom", "volumeMounts", "resources", "securityContext"} {
					if !reflect.DeepEqual(c[part], theirs[i][part]) {
						t.Errorf("%s of %v is %v, that of the daemon's pod is %v", part, c["name"], c[part], theirs[i][part])
					}
				}
				if c["readinessProbe"] != nil || c["livenessProbe"] != nil || c["ports"] != nil {
					t.Errorf("%v has probes or ports", c["name"])
				}
			}
			for _, part := range []string{"serviceAccountName", "volumes", "nodeSelector", "tolerations", "securityContext"} {
				if got, want := podSpec(t, pod)[part], podSpec(t, daemon)[part]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s is %v, that of the daemon's pod is %v", part, got, want)
				}
			}
		})
	}
}
