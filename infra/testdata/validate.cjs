// Prints what AWS's own validator says of templates, as JSON: a list of rule, severity, resource, path and message a template.
const { CelEngine, TemplateFile } = require("@aws/cloudformation-validate");

const engine = new CelEngine();
const found = {};
for (const file of process.argv.slice(2)) {
  found[file] = engine.validateStandard(new TemplateFile(file)).diagnostics.map((d) => ({
    rule: d.ruleId,
    severity: d.severity,
    resource: (d.entity && d.entity.logicalId) || "",
    path: d.propertyPath || "",
    line: d.startLine,
    message: d.message,
  }));
}
process.stdout.write(JSON.stringify(found));
