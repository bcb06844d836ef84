/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.harbour;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a berth is asked for; it has grown with every wish of the harbour. */
public class BerthForm {

  String number;
  String quay;
  String applicant;
  String telephone;
  String remarks;
  int metres;
  LocalDate wantedFrom;

  BerthForm(
      String number, String quay, String applicant, String telephone, String remarks, int metres,
      LocalDate wantedFrom) {
    this.number = number;
    this.quay = quay;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.metres = metres;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return number != null && quay != null && applicant != null && wantedFrom != null;
  }

  public Berth toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Berth(number, quay, metres, first);
  }

  public String summary() {
    return "%s wants %d metres of quay in %s".formatted(applicant, metres, quay);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (number == null) {
      names.add("number");
    }
    if (quay == null) {
      names.add("quay");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
