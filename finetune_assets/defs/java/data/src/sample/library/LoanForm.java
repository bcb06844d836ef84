/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a loan is asked for; it has grown with every wish of the library. */
public class LoanForm {

  String barcode;
  String branch;
  String applicant;
  String telephone;
  String remarks;
  int pages;
  LocalDate wantedFrom;

  LoanForm(
      String barcode, String branch, String applicant, String telephone, String remarks, int pages,
      LocalDate wantedFrom) {
    this.barcode = barcode;
    this.branch = branch;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.pages = pages;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return barcode != null && branch != null && applicant != null && wantedFrom != null;
  }

  public Loan toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Loan(barcode, branch, pages, first);
  }

  public String summary() {
    return "%s wants %d pages in %s".formatted(applicant, pages, branch);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (barcode == null) {
      names.add("barcode");
    }
    if (branch == null) {
      names.add("branch");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
