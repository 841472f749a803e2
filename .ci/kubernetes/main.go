// Writes the JSON Schemas that kubeconform validates objects with: schemas OUT FILE...
//
// A FILE is an OpenAPI 3 document of Kubernetes (.json) or a CustomResourceDefinition (.yaml). Each kind becomes
// OUT/GROUP/KIND_VERSION.json. Unknown fields are errors, as in `kubectl apply --validate=strict`.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: schemas OUT FILE..."))
	}
	for _, file := range os.Args[2:] {
		text, err := os.ReadFile(file)
		fail(err)
		var document object
		fail(yaml.Unmarshal(text, &document))
		if filepath.Ext(file) == ".json" {
			fail(openAPI(os.Args[1], document))
		} else {
			fail(definition(os.Args[1], document))
		}
	}
}

// Writes a schema for each kind of an OpenAPI document. References between its schemas stay as they are, so each file contains all.
func openAPI(out string, document object) error {
	schemas := at(document, "components", "schemas")
	refuseUnknownFields(schemas)
	for name, schema := range schemas {
		kinds, _ := schema.(object)["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			// Types that are part of many API groups, such as DeleteOptions.
			continue
		}
		kind := kinds[0].(object)
		root := object{
			"allOf":      []any{object{"$ref": "#/components/schemas/" + name}},
			"components": object{"schemas": schemas},
		}
		if err := write(out, kind["group"].(string), kind["kind"].(string), kind["version"].(string), root); err != nil {
			return err
		}
	}
	return nil
}

// Writes a schema for each version of a custom resource.
func definition(out string, document object) error {
	spec := at(document, "spec")
	versions, _ := spec["versions"].([]any)
	for _, version := range versions {
		schema := at(version.(object), "schema", "openAPIV3Schema")
		refuseUnknownFields(schema)
		kind := at(spec, "names")["kind"].(string)
		if err := write(out, spec["group"].(string), kind, version.(object)["name"].(string), schema); err != nil {
			return err
		}
	}
	return nil
}

// Adds `additionalProperties: false` to every schema that lists properties and does not allow others.
func refuseUnknownFields(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			refuseUnknownFields(item)
		}
	case object:
		for _, item := range value {
			refuseUnknownFields(item)
		}
		_, lists := value["properties"].(object)
		_, allows := value["additionalProperties"]
		if lists && value["type"] == "object" && !allows && value["x-kubernetes-preserve-unknown-fields"] != true {
			value["additionalProperties"] = false
		}
	}
}

func write(out, group, kind, version string, schema object) error {
	if group == "" {
		// What kubeconform calls the core group.
		group = version
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	path := filepath.Join(out, group, strings.ToLower(kind)+"_"+version+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func at(value object, path ...string) object {
	for _, key := range path {
		value, _ = value[key].(object)
	}
	return value
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}
