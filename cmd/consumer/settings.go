package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/command"
	environment "aws-streaming-pipeline/internal/settings"
)

func settingsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "settings [NAME]...", Short: "list the environment variables, or describe some",
		Long:    "Lists the environment variables by subject, with what each does, its bounds and its default; or only those named.",
		Example: "consumer settings\nconsumer settings BUCKET PREFIX\nconsumer settings --json",
		RunE: func(cmd *cobra.Command, names []string) error {
			groups, err := namedSettings(consumer.SettingGroups(), names)
			if err != nil {
				return err
			}
			return command.Print(cmd.OutOrStdout(), asJSON, describeSettings(groups), func(out io.Writer) error { return writeSettings(out, groups) })
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return settingNames(consumer.SettingGroups()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return cmd
}

func settingNames(groups []environment.Group) (names []string) {
	for _, g := range groups {
		for _, s := range g.Settings {
			names = append(names, s.Name)
		}
	}
	return names
}

// namedSettings returns the settings of those names, in their groups; all of them without names.
func namedSettings(groups []environment.Group, names []string) (found []environment.Group, err error) {
	if len(names) == 0 {
		return groups, nil
	}
	all := settingNames(groups)
	for _, name := range names {
		if !slices.Contains(all, name) {
			if meant := command.Meant(name, all); meant != "" {
				return nil, command.Usagef("there is no setting %s; did you mean %s?", name, meant)
			}
			return nil, command.Usagef("there is no setting %s; consumer settings lists them", name)
		}
	}
	for _, g := range groups {
		g.Settings = slices.DeleteFunc(slices.Clone(g.Settings), func(s environment.Setting) bool { return !slices.Contains(names, s.Name) })
		if len(g.Settings) > 0 {
			found = append(found, g)
		}
	}
	return found, nil
}

func writeSettings(out io.Writer, groups []environment.Group) error {
	w := bufio.NewWriter(out)
	for _, g := range groups {
		fmt.Fprintf(w, "%s\n", g.Title)
		for _, s := range g.Settings {
			fmt.Fprintf(w, "  %s\n      %s\n", s.Name, s.Help())
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// describedSetting is a setting as JSON.
type describedSetting struct {
	Name     string   `json:"name"`
	Subject  string   `json:"subject"`
	Help     string   `json:"help"`
	Default  string   `json:"default,omitempty"`
	Required bool     `json:"required"`
	Secret   bool     `json:"secret"`
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	OneOf    []string `json:"one_of,omitempty"`
}

func describeSettings(groups []environment.Group) (list []describedSetting) {
	for _, g := range groups {
		for _, s := range g.Settings {
			list = append(list, describedSetting{s.Name, g.Title, s.Help(), s.Default, s.Required, s.Secret, s.Min, s.Max, s.OneOf})
		}
	}
	return list
}
