// Parses expositions with the parser of Prometheus, and with the one of its client libraries, which does not support OpenMetrics. The
// arguments are content types and files, alternately. Prints the number of samples that each parser found in each file.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func main() {
	for at := 1; at+1 < len(os.Args); at += 2 {
		if err := run(os.Args[at], os.Args[at+1]); err != nil {
			fmt.Fprintf(os.Stderr, "%s (%s): %v\n", os.Args[at+1], os.Args[at], err)
			os.Exit(1)
		}
	}
}

func run(contentType, file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	samples, err := withPrometheus(contentType, page)
	if err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	fmt.Printf("prometheus %s %d\n", file, samples)
	if strings.HasPrefix(contentType, "application/openmetrics-text") {
		return nil
	}
	if samples, err = withClientLibrary(contentType, page); err != nil {
		return fmt.Errorf("expfmt: %w", err)
	}
	fmt.Printf("expfmt %s %d\n", file, samples)
	return nil
}

func withPrometheus(contentType string, page []byte) (int, error) {
	parser, err := textparse.New(page, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return len(seen), nil
		}
		if err != nil {
			return 0, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var series labels.Labels
		parser.Labels(&series)
		if name, is := series.HasDuplicateLabelNames(); is {
			return 0, fmt.Errorf("%s has the label %s twice", series, name)
		}
		if seen[series.String()] {
			return 0, fmt.Errorf("%s occurs twice", series)
		}
		seen[series.String()] = true
	}
}

func withClientLibrary(contentType string, page []byte) (int, error) {
	format := expfmt.ResponseFormat(http.Header{"Content-Type": []string{contentType}})
	if format.FormatType() == expfmt.TypeUnknown {
		return 0, fmt.Errorf("unknown format %s", contentType)
	}
	// ResponseFormat drops the parameter.
	if strings.Contains(contentType, "escaping=allow-utf-8") {
		format = format.WithEscapingScheme(model.NoEscaping)
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(page), format)
	samples, seen := 0, map[string]bool{}
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			return samples, nil
		} else if err != nil {
			return 0, err
		}
		if seen[family.GetName()] {
			return 0, fmt.Errorf("the family %s occurs twice", family.GetName())
		}
		seen[family.GetName()] = true
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, &family)
		if err != nil {
			return 0, err
		}
		samples += len(vector)
	}
}
