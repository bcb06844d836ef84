/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a remedy is asked for; it has grown with every wish of the pharmacy. */
public class RemedyForm {

  String formula;
  String drawer;
  String applicant;
  String telephone;
  String remarks;
  int doses;
  LocalDate wantedFrom;

  RemedyForm(
      String formula, String drawer, String applicant, String telephone, String remarks, int doses,
      LocalDate wantedFrom) {
    this.formula = formula;
    this.drawer = drawer;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.doses = doses;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return formula != null && drawer != null && applicant != null && wantedFrom != null;
  }

  public Remedy toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Remedy(formula, drawer, doses, first);
  }

  public String summary() {
    return "%s wants %d doses in %s".formatted(applicant, doses, drawer);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (formula == null) {
      names.add("formula");
    }
    if (drawer == null) {
      names.add("drawer");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
