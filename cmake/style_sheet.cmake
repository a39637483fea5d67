# src/report/report.css as the C array report_css, a text per line.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS src/report/report.css)
file(STRINGS src/report/report.css css_lines)
set(css_literals "")
foreach(line IN LISTS css_lines)
  string(REPLACE "\\" "\\\\" line "${line}")
  string(REPLACE "\"" "\\\"" line "${line}")
  string(APPEND css_literals "    \"${line}\\n\",\n")
endforeach()
file(CONFIGURE OUTPUT generated/report_css.h
     CONTENT "static const char *const report_css[] = {\n@css_literals@};\n" @ONLY)
