"""A course for a real nbgrader: it releases what `make classroom` does, and judges as the small grader does.

The student's kernel never sees a hidden test: it runs the visible part of each test's cell, and what that hands in is
judged here, in nbgrader's own process.
"""

from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat.v4 import new_output
from nbgrader.preprocessors import ClearHiddenTests, LimitOutput, NbGraderPreprocessor
from traitlets import Float

c = get_config()  # noqa: F821  (nbgrader gives it)


class JudgedElsewhere(NbGraderPreprocessor):
    """In place of nbgrader's Execute: run in a fresh kernel with limits, and judge the answers outside of it."""

    seconds = Float(60, help="that a cell may take").tag(config=True)
    gigabytes = Float(3, help="of memory that a student's kernel may hold").tag(config=True)

    def preprocess(self, nb, resources):
        # Here, since torch comes with them, and nbgrader's other commands read this file too.
        from classroom.cells import TEST, about, is_test
        from classroom.judging import grade
        from classroom.running import Limits

        verdicts = grade(nb, Limits(self.seconds, max(Limits.whole, 5 * self.seconds), self.gigabytes))
        for cell in nb.cells:
            if is_test(cell):
                verdict = verdicts[about(cell)["grade_id"].removesuffix(TEST)]
                cell.outputs = [] if verdict.points else [
                    new_output("error", ename="Not yet", evalue=verdict.sentence, traceback=[verdict.sentence])]
        return nb, resources


c.CourseDirectory.course_id = "attention"
c.FileNameCollectorPlugin.named_regexp = r".*/(?P<student_id>[^/.]+)\.(?P<file_id>[^/]+)$"      # ada.gates.ipynb
c.ClearSolutions.code_stub = {"python": "# Your answer stands here."}
c.ClearSolutions.text_stub = "*Write here.*"
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"teacher"}
c.OverwriteCells.add_missing_cells = True
c.GenerateAssignment.preprocessors = [
    TagRemovePreprocessor, "nbgrader.preprocessors.IncludeHeaderFooter", "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions", "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata", "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells", ClearHiddenTests, "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata"]
c.Autograde.autograde_preprocessors = [
    JudgedElsewhere, LimitOutput, "nbgrader.preprocessors.SaveAutoGrades", "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata"]
c.GenerateFeedback.preprocessors = [
    ClearHiddenTests, "nbgrader.preprocessors.GetGrades", "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor"]
